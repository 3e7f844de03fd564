PRAGMA journal_mode = WAL;
CREATE TABLE route(id INTEGER PRIMARY KEY, a INTEGER, b INTEGER, cost INTEGER);
CREATE INDEX route_a ON route(a);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
INSERT INTO route(a, b, cost) SELECT i % 50, (i * 7) % 50, (i * 31) % 97 FROM n;
BEGIN; DELETE FROM route WHERE cost > 90; ROLLBACK;
BEGIN; DELETE FROM route WHERE cost < 10; COMMIT;
SELECT count(*), sum(cost), max(b) FROM route;
SELECT a, count(*) AS n FROM route GROUP BY a ORDER BY n DESC, a LIMIT 3;
VACUUM;
PRAGMA integrity_check;
