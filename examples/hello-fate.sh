#!/bin/bash
# Shows what differs from run to run of a program, and what fated decides instead: time, randomness, process ids, the
# order of what runs at once, and what files tell of the machine.

echo "date       $(date -u '+%F %T.%N')"
echo "host       $(uname -n)"
echo "urandom    $(od -An -N8 -tx1 /dev/urandom | tr -d ' ')"
echo "random     $RANDOM $RANDOM $RANDOM"
echo "pids       shell $$, its parent $PPID, a child $(sh -c 'echo $$')"

printf 'order     '
for job in 1 2 3 4 5 6; do
  { for _ in 1 2 3; do printf ' %s' "$job"; done; } &
done
wait
echo

folder=$(mktemp -d)
cd "$folder" || exit 1
trap 'rm -r "$folder"' EXIT
echo "folder     $folder"
echo one >first
sleep 2
mkdir second
ln -s first third
ls -l --time-style=full-iso
stat -c '%n: inode %i on device %d, changed %z' first second third

before=$(date +%s%N)
sleep 1
after=$(date +%s%N)
echo "sleep 1    took $(((after - before) / 1000)) µs"
