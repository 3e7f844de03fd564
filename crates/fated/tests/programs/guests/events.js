// Timers, promises, the file system and the order of the queues of node. The times are so far apart that a slow machine keeps their order.
const fs = require('fs');
setTimeout(() => console.log('timeout 200'), 200);
setTimeout(() => console.log('timeout 1'), 1);
setTimeout(() => setImmediate(() => console.log('immediate')), 400);
process.nextTick(() => console.log('tick'));
Promise.resolve().then(() => console.log('promise'));
fs.promises.readFile('poem.txt', 'utf8').then((text) => setTimeout(() => console.log(text.split('\n').length), 800));
console.log('first');
