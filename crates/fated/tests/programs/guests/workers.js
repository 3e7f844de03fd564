// Worker threads that add up in shared memory, and messages from them.
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
if (isMainThread) {
  const shared = new SharedArrayBuffer(4);
  let left = 3;
  for (let i = 0; i < 3; i++)
    new Worker(__filename, { workerData: { shared, i } }).on('message', () => {
      if (--left === 0) console.log('sum', new Int32Array(shared)[0]);
    });
} else {
  for (let k = 0; k < 1000; k++) Atomics.add(new Int32Array(workerData.shared), 0, workerData.i);
  parentPort.postMessage('done');
}
