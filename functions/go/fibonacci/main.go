// Command fibonacci says which number of Fibonacci's stands at a place.
package main

import (
	"fmt"
	"math/big"
	"strconv"

	"functions/serve"
)

func fibonacci(place int64) *big.Int {
	// Numbers are copied, as vSwarm's function copies them: it is that work which is compared.
	this, next, sum := big.NewInt(0), big.NewInt(1), big.NewInt(0)
	for ; place > 0; place-- {
		sum.Add(this, next)
		this.Set(next)
		next.Set(sum)
	}
	return this
}

func answer(name string) string {
	// A name that is no number is the place 0, as it is for vSwarm's function.
	place, _ := strconv.ParseInt(name, 10, 64)
	return fmt.Sprintf("fn: Fib: y = fib(x) | x: %d y: %s | runtime: GoLang", place, fibonacci(place))
}

func main() {
	serve.Run(answer, serve.Greeter, serve.Method{Service: "fibonacci.Greeter", Name: "SayHello"})
}
