#!/usr/bin/env node
'use strict';
// A framework in JavaScript without a library: Node's own HTTP client and the scheduler API in JSON are enough.
//
//   batch.js HOST:PORT [COUNT]     runs COUNT tasks (3 unless given) one offer at a time, then removes itself
//
// Prints a line per status; exits with 0 when every task has finished.

const http = require('http');

const [host, port] = (process.argv[2] || '127.0.0.1:5050').split(':');
const wanted = Number(process.argv[3] || 3);
const NEEDS = { cpus: 0.1, mem: 32 };

let framework; // its id, once the master has given one
let stream; // names this subscription in every other call
let launched = 0;
let finished = 0;

/// One call. Every one but SUBSCRIBE is answered 202 without a body.
function call(body, answered) {
  const headers = { 'Content-Type': 'application/json', Accept: 'application/json' };
  if (stream) headers['Mesos-Stream-Id'] = stream;
  if (framework) body.framework_id = framework;
  const request = http.request({ host, port, path: '/api/v1/scheduler', method: 'POST', headers }, answered || drain);
  request.on('error', (error) => fail(`${body.type}: ${error.message}`));
  request.end(JSON.stringify(body));
}

function drain(response) {
  if (response.statusCode !== 202) fail(`the master answered ${response.statusCode}`);
  response.resume();
}

function fail(why) {
  console.error(why);
  process.exit(1);
}

/// Events come as records: the length in bytes, a newline, so many bytes of JSON.
function records(response, handle) {
  let rest = Buffer.alloc(0);
  response.on('data', (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    for (;;) {
      const line = rest.indexOf('\n');
      if (line < 0) return;
      const length = Number(rest.subarray(0, line).toString());
      if (rest.length < line + 1 + length) return;
      const record = rest.subarray(line + 1, line + 1 + length);
      rest = rest.subarray(line + 1 + length);
      handle(JSON.parse(record.toString()));
    }
  });
  response.on('end', () => fail('the master has closed the stream'));
}

function amount(offer, name) {
  const scalars = offer.resources.filter((r) => r.name === name && r.scalar);
  return scalars.reduce((sum, r) => sum + r.scalar.value, 0);
}

function offered(offer) {
  const fits = Object.entries(NEEDS).every(([name, need]) => amount(offer, name) >= need);
  if (launched === wanted || !fits) {
    call({ type: 'DECLINE', decline: { offer_ids: [offer.id] } });
    return;
  }
  launched += 1;
  const task = {
    name: 'from node',
    task_id: { value: `node.${launched}` },
    agent_id: offer.agent_id,
    command: { value: 'echo hello from node' },
    resources: Object.entries(NEEDS).map(([name, value]) => ({ name, type: 'SCALAR', scalar: { value } })),
  };
  const operations = [{ type: 'LAUNCH', launch: { task_infos: [task] } }];
  // What is left over may be offered again at once.
  call({ type: 'ACCEPT', accept: { offer_ids: [offer.id], operations, filters: { refuse_seconds: 0 } } });
}

function updated(status) {
  console.log(`${status.task_id.value} is ${status.state}`);
  // Without a uuid nobody waits for an acknowledgement.
  if (status.uuid) {
    const { agent_id, task_id, uuid } = status;
    call({ type: 'ACKNOWLEDGE', acknowledge: { agent_id, task_id, uuid } });
  }
  if (['TASK_FAILED', 'TASK_ERROR', 'TASK_LOST', 'TASK_KILLED'].includes(status.state)) {
    fail(status.message || status.state);
  }
  if (status.state === 'TASK_FINISHED') finished += 1;
  if (finished === wanted) {
    call({ type: 'TEARDOWN' }, (response) => {
      response.resume();
      process.exit(response.statusCode === 202 ? 0 : 1);
    });
  }
}

const info = { user: require('os').userInfo().username, name: 'node batch' };
call({ type: 'SUBSCRIBE', subscribe: { framework_info: info } }, (response) => {
  if (response.statusCode !== 200) fail(`the master answered ${response.statusCode}`);
  stream = response.headers['mesos-stream-id'];
  records(response, (event) => {
    if (event.type === 'SUBSCRIBED') framework = event.subscribed.framework_id;
    if (event.type === 'OFFERS') event.offers.offers.forEach(offered);
    if (event.type === 'UPDATE') updated(event.update.status);
    if (event.type === 'ERROR') fail(event.error.message);
  });
});
