package lua

import "math"

// withSign is a function whose result is -NaN where C has that, as the processor
// makes it.
func withSign(f func(float64) float64) func(float64) float64 {
	return func(x float64) float64 {
		r := f(x)
		if r != r && x == x {
			return negativeNaN
		}
		return r
	}
}

var negativeNaN = math.Copysign(math.NaN(), -1)

// unary makes a function of one number.
func unary(f func(float64) float64) GoFunction {
	return func(t *Thread) int {
		t.Push(Number(f(t.CheckNumber(1))))
		return 1
	}
}

var mathFunctions = []Function{
	{"abs", unary(math.Abs)}, {"acos", unary(math.Acos)}, {"asin", unary(math.Asin)}, {"atan2", mathAtan2},
	{"atan", unary(math.Atan)}, {"ceil", unary(math.Ceil)}, {"cosh", unary(math.Cosh)}, {"cos", unary(withSign(math.Cos))},
	{"deg", unary(func(f float64) float64 { return f / (math.Pi / 180) })}, {"exp", unary(math.Exp)},
	{"floor", unary(math.Floor)}, {"fmod", mathFmod}, {"frexp", mathFrexp}, {"ldexp", mathLdexp},
	{"log10", unary(math.Log10)}, {"log", unary(withSign(math.Log))}, {"max", mathMax}, {"min", mathMin}, {"modf", mathModf},
	{"pow", mathPow}, {"rad", unary(func(f float64) float64 { return f * (math.Pi / 180) })}, {"sinh", unary(math.Sinh)},
	{"sin", unary(withSign(math.Sin))}, {"sqrt", unary(math.Sqrt)}, {"tanh", unary(math.Tanh)}, {"tan", unary(withSign(math.Tan))},
}

func (s *State) openMath() {
	h := s.library("math", mathFunctions)
	h.SetStr("pi", Number(math.Pi))
	h.SetStr("huge", Number(math.Inf(1)))
	h.SetStr("mod", h.GetStr("fmod"))
}

func mathAtan2(t *Thread) int {
	t.Push(Number(math.Atan2(t.CheckNumber(1), t.CheckNumber(2))))
	return 1
}

func mathFmod(t *Thread) int {
	x, y := t.CheckNumber(1), t.CheckNumber(2)
	if r := math.Mod(x, y); r == r {
		t.Push(Number(r))
	} else {
		t.Push(Number(x * y / (x * y))) // NaN with the sign that the processor gives it
	}
	return 1
}

func mathPow(t *Thread) int {
	t.Push(Number(power(t.CheckNumber(1), t.CheckNumber(2))))
	return 1
}

func mathFrexp(t *Thread) int {
	f, e := math.Frexp(t.CheckNumber(1))
	t.Push(Number(f))
	t.Push(Int(e))
	return 2
}

func mathLdexp(t *Thread) int {
	f, e := t.CheckNumber(1), t.CheckInt(2)
	t.Push(Number(math.Ldexp(f, int(int32(max(min(e, math.MaxInt32), math.MinInt32))))))
	return 1
}

func mathModf(t *Thread) int {
	f := t.CheckNumber(1)
	whole, fraction := math.Trunc(f), 0.0
	if !math.IsInf(f, 0) {
		fraction = f - whole
	}
	t.Push(Number(whole))
	t.Push(Number(math.Copysign(fraction, f)))
	return 2
}

func mathMax(t *Thread) int {
	most := t.CheckNumber(1)
	for i := 2; i <= t.Count(); i++ {
		if f := t.CheckNumber(i); f > most {
			most = f
		}
	}
	t.Push(Number(most))
	return 1
}

func mathMin(t *Thread) int {
	least := t.CheckNumber(1)
	for i := 2; i <= t.Count(); i++ {
		if f := t.CheckNumber(i); f < least {
			least = f
		}
	}
	t.Push(Number(least))
	return 1
}
