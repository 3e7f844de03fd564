// Timers, promises, the file system and the order of the queues of node.
const fs = require('fs');
setTimeout(() => console.log('timeout 5'), 5);
setTimeout(() => console.log('timeout 1'), 1);
setTimeout(() => setImmediate(() => console.log('immediate')), 10);
process.nextTick(() => console.log('tick'));
Promise.resolve().then(() => console.log('promise'));
fs.promises.readFile('poem.txt', 'utf8').then((text) => setTimeout(() => console.log(text.split('\n').length), 20));
console.log('first');
