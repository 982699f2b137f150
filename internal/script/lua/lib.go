package lua

// A Function is a Go function with the name by which Lua calls it.
type Function struct {
	Name string
	Call GoFunction
}

// Register puts functions into a table.
func (s *State) Register(h *Table, functions []Function) {
	for _, f := range functions {
		h.SetStr(f.Name, s.NewFunction(f.Call))
	}
}

// library makes a global table of functions.
func (s *State) library(name string, functions []Function) *Table {
	h := s.newTable(0, len(functions))
	s.Register(h, functions)
	s.globals.SetStr(name, h.Value())
	return h
}

// OpenLibs adds the functions of Lua 5.1 that cannot reach out of the state: the
// basic ones without print and those that read files, and the libraries
// coroutine, string, table and math. Missing are also getfenv, setfenv and
// newproxy, which Redis has taken away, and math.random and math.randomseed.
func (s *State) OpenLibs() {
	s.Register(s.globals, baseFunctions)
	next, index := s.globals.GetStr("next"), s.NewFunction(iterateInts)
	next.Closure().loops, index.Closure().loops = nextIterator, indexIterator
	s.globals.GetStr("pairs").Closure().bound = next
	s.globals.GetStr("ipairs").Closure().bound = index
	s.globals.SetStr("_G", s.globals.Value())
	s.globals.SetStr("_VERSION", String("Lua 5.1"))
	s.library("coroutine", coroutineFunctions)
	s.library("table", tableFunctions)
	s.openString()
	s.openMath()
}
