// Says which number of Fibonacci's stands at a place.
'use strict';

const { GREETER, run } = require('./serve');

function fibonacci(place) {
  let [current, following] = [0n, 1n];
  for (let step = 0; step < place; step++) {
    [current, following] = [following, current + following];
  }
  return current;
}

run((name) => {
  const place = parseInt(name, 10);
  return `fn: Fib: y = fib(x) | x: ${place} y: ${fibonacci(place)} | runtime: NodeJS`;
}, GREETER, '/fibonacci.Greeter/SayHello');
