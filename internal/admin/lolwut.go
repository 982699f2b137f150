package admin

import (
	"math/rand/v2"
	"strings"

	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/internal/version"
)

// lolwutRow is LOLWUT, which draws.
func lolwutRow() *command.Row {
	return &command.Row{Name: "lolwut", Arity: -1, Flags: command.ReadOnly | command.Fast, Lock: command.LockNone, Run: lolwut,
		Doc: command.Doc{Since: "5.0.0", Group: "server", Summary: "Draws something, and tells the version.", Complexity: "O(N) where N is the width",
			Args: []command.Arg{{Name: "version", Type: "integer", Token: "VERSION", Flags: command.Optional}}}}
}

// The width of the drawing, in characters.
const (
	wallWidth    = 66
	widestWall   = 1000
	narrowedWall = 12
)

// lolwut draws the wall of a redoubt. Behind VERSION may stand any version; a number
// behind that, or alone, is the width.
func lolwut(x *command.Ctx) {
	args := x.Args[1:]
	if len(args) > 1 && resp.EqualFold(args[0], "version") {
		if _, ok := resp.ParseInt(args[1]); !ok {
			x.Out.Error(resp.ErrNotInteger)
			return
		}
		args = args[2:]
	}
	width := int64(wallWidth)
	if len(args) > 0 {
		n, ok := resp.ParseInt(args[0])
		if !ok {
			x.Out.Error(resp.ErrNotInteger)
			return
		}
		width = min(max(n, narrowedWall), widestWall)
	}
	x.Out.Verbatim("txt", drawWall(int(width))+"Redis ver. "+version.Redis+", Redoubt ver. "+version.Build+"\n")
}

// drawWall is a wall with towers of any height at any place.
func drawWall(width int) string {
	const rows = 8
	heights := make([]int, width)
	for i := range heights {
		heights[i] = 3
		if i%2 == 0 {
			heights[i] = 4 // the battlements
		}
	}
	for at := rand.IntN(6); at+6 < width; at += 8 + rand.IntN(14) {
		height := 5 + rand.IntN(3)
		for i := range 6 {
			heights[at+i] = height
		}
		heights[at], heights[at+2], heights[at+3], heights[at+5] = height+1, height+1, height+1, height+1
	}
	var b strings.Builder
	for row := rows; row > 0; row-- {
		var line strings.Builder
		for _, h := range heights {
			if h >= row {
				line.WriteByte('#')
			} else {
				line.WriteByte(' ')
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " "))
		b.WriteByte('\n')
	}
	return b.String()
}
