"""Says which number of Fibonacci's stands at a place."""

import sys

import serve


def fibonacci(place):
    this, following = 0, 1
    for _ in range(place):
        this, following = following, this + following
    return this


def answer(name):
    place = int(name)
    return "fn: Fib: y = fib(x) | x: %i y: %i | runtime: python" % (place, fibonacci(place))


if __name__ == "__main__":
    # Numbers as long as vSwarm's function may print.
    sys.set_int_max_str_digits(500000)
    serve.run(answer, serve.GREETER, ("fibonacci.Greeter", "SayHello"))
