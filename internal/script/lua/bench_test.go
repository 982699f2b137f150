package lua

import "testing"

// The programs are those that docs/decisions/0008-lua.md compares.
func BenchmarkPrograms(b *testing.B) {
	for _, c := range []struct{ name, source string }{
		{"Loop", `local s=0 for i=1,1000000 do s=s+i%7 end`},
		{"Fib", `local function fib(n) if n<2 then return n end return fib(n-1)+fib(n-2) end fib(25)`},
		{"Fill", `local t={} for i=1,200000 do t[i]=i end local n=0 for k,v in ipairs(t) do n=n+v end`},
		{"Strings", `local t={} for i=1,100000 do t['k'..i]=i end local n=0 for k,v in pairs(t) do n=n+v end`},
		{"Pop", `local t={} for i=1,20000 do t[i]=i end for i=1,20000 do t[#t]=nil end`},
		{"Sort", `local t={} for i=1,50000 do t[i]=(i*7919)%50021 end table.sort(t)`},
		{"GSub", `local s=string.rep('hello world ',1000) for i=1,20 do s:gsub('%w+',string.upper) end`},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := NewState(Options{MaxMemory: 512 << 20})
			s.OpenLibs()
			p, err := Compile(c.source, "@bench")
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.PCall(s.Load(p)); err != nil {
					b.Fatal(err)
				}
				s.Reset()
			}
		})
	}
}
