package script

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"redoubt/internal/resp"
	"redoubt/internal/script/lua"
)

// What a debugger shows: lines of the script, variables, commands and their replies.

// showLine shows a line of the script, and whether the script is there, or a
// breakpoint.
func (d *Debugger) showLine(line int) {
	at, mark, text := "  ", " ", "<out of range source code line>"
	if line == d.line {
		at = "->"
	}
	for _, b := range d.breakpoints {
		if b == line {
			mark = "#"
		}
	}
	if line >= 1 && line <= len(d.source) {
		text = d.source[line-1]
	}
	d.say(fmt.Sprintf("%s%s%-3d %s", at, mark, line, text))
}

// showLines shows a line with so many before and after it.
func (d *Debugger) showLines(around, context int) {
	for line := 1; line <= len(d.source); line++ {
		if line-around <= context && around-line <= context {
			d.showLine(line)
		}
	}
}

func (d *Debugger) doList(_ *lua.Thread, args []string) bool {
	around, context := d.line, 5
	if len(args) > 1 {
		if n := number(args[1]); n > 0 {
			around = n
		}
	}
	if len(args) > 2 {
		context = number(args[2])
	}
	d.showLines(around, context)
	return false
}

func (d *Debugger) doWhole(*lua.Thread, []string) bool {
	d.showLines(1, len(d.source))
	return false
}

// doPrint shows all local variables of the call at work, or one of any call, or the
// globals KEYS and ARGV.
func (d *Debugger) doPrint(t *lua.Thread, args []string) bool {
	frames := t.Frames()
	if len(args) == 2 {
		d.printNamed(frames, args[1])
		return false
	}
	if len(frames) == 0 || len(frames[0].Locals) == 0 {
		d.say("No local variables in the current context.")
		return false
	}
	for _, v := range frames[0].Locals {
		d.showValue("<value> "+v.Name+" = ", v.Value)
	}
	return false
}

func (d *Debugger) printNamed(frames []lua.Frame, name string) {
	for _, f := range frames {
		for _, v := range f.Locals {
			if v.Name == name {
				d.showValue("<value> ", v.Value)
				return
			}
		}
	}
	if name == "KEYS" || name == "ARGV" {
		d.showValue("<value> ", d.world.globals.GetStr(name))
		return
	}
	d.say("No such variable.")
}

// showTrimmed shows a text up to the bound that maxlen has set.
func (d *Debugger) showTrimmed(text string) {
	if d.maxLen == 0 || len(text) <= d.maxLen {
		d.say(text)
		return
	}
	d.say(text[:d.maxLen] + " ...")
	if !d.hinted {
		d.hinted = true
		d.say("<hint> The above reply was trimmed. Use 'maxlen 0' to disable trimming.")
	}
}

func (d *Debugger) showValue(prefix string, v lua.Value) {
	d.showTrimmed(string(appendValue([]byte(prefix), v, 0)))
}

const (
	// maxShownDepth is how deeply the tables of a value are shown.
	maxShownDepth = 10
	// maxShown is about how many bytes of a value are shown: a table can be in many
	// places of another.
	maxShown = 1 << 20
)

// appendValue appends a Lua value as the debugger shows it. It matches
// ldbCatStackValue.
func appendValue(b []byte, v lua.Value, level int) []byte {
	switch {
	case len(b) > maxShown:
		return b
	case level == maxShownDepth:
		return append(b, "<max recursion level reached! Nested table?>"...)
	}
	switch v.Kind() {
	case lua.KindString:
		return resp.AppendQuoted(b, v.Bytes())
	case lua.KindBool:
		return strconv.AppendBool(b, v.Truth())
	case lua.KindNumber:
		return lua.AppendNumber(b, v.Float(), 6)
	case lua.KindNil:
		return append(b, "nil"...)
	case lua.KindTable:
		return appendTable(b, v.Table(), level+1)
	}
	kind, at, _ := strings.Cut(v.Text(), ": ")
	return append(b, `"`+kind+"@"+at+`"`...)
}

// appendTable appends a table: as a list, if its keys are 1, 2, 3 … in their order.
func appendTable(b []byte, h *lua.Table, level int) []byte {
	list, n := true, 0
	for k, _, _ := h.Next(lua.Nil); !k.IsNil() && list; k, _, _ = h.Next(k) {
		n++
		list = k.Kind() == lua.KindNumber && k.Float() == float64(n)
	}
	b = append(b, '{')
	first := true
	for k, v, _ := h.Next(lua.Nil); !k.IsNil() && len(b) <= maxShown; k, v, _ = h.Next(k) {
		if !first {
			b = append(b, "; "...)
		}
		first = false
		if !list {
			b = append(appendValue(append(b, '['), k, level), "]="...)
		}
		b = appendValue(b, v, level)
	}
	return append(b, '}')
}

// maxShownArgs is how many arguments of a command are shown.
const maxShownArgs = 10

// showCommand shows a command that the script calls.
func (d *Debugger) showCommand(args [][]byte) {
	line := "<redis>"
	for i, a := range args {
		if i == maxShownArgs {
			line += fmt.Sprintf(" ... (%d more)", len(args)-i-1)
			break
		}
		line += " " + string(a)
	}
	d.say(line)
}

// showError shows an error that the script gets. The text of a command's reply begins
// with '-'; that of a refusal does not, as in Redis.
func (d *Debugger) showError(text string) {
	if d.refused {
		text = strings.TrimPrefix(text, "-ERR ")
		d.refused = false
	}
	d.say("<error> " + text)
}

// showReply shows the reply of a command.
func (d *Debugger) showReply(reply []byte) {
	text, _ := appendReply([]byte("<reply> "), reply)
	d.showTrimmed(string(text))
}

// appendReply appends the first reply in b as the debugger shows it, and returns what
// is behind it. It matches ldbRedisProtocolToHuman.
func appendReply(dst, b []byte) (_, rest []byte) {
	line, rest, whole := bytes.Cut(b, []byte("\r\n"))
	if !whole || len(line) == 0 {
		return dst, nil
	}
	n, _ := strconv.Atoi(string(line[1:]))
	switch line[0] {
	case ':', '(':
		return append(dst, line[1:]...), rest
	case '+', '-':
		return resp.AppendQuoted(dst, line), rest
	case '$', '=':
		if n < 0 || n+2 > len(rest) {
			return append(dst, "NULL"...), rest
		}
		return resp.AppendQuoted(dst, rest[:n]), rest[n+2:]
	case '*':
		if n < 0 {
			return append(dst, "NULL"...), rest
		}
		return appendReplies(dst, rest, n, 1, "[", "]")
	case '~':
		return appendReplies(dst, rest, n, 1, "~(", ")")
	case '%':
		return appendReplies(dst, rest, n, 2, "{", "}")
	case '_':
		return append(dst, "(null)"...), rest
	case '#':
		if string(line) == "#t" {
			return append(dst, "#true"...), rest
		}
		return append(dst, "#false"...), rest
	case ',':
		return append(append(dst, "(double) "...), line[1:]...), rest
	}
	return dst, rest
}

// appendReplies appends n replies, or pairs of them if width is 2.
func appendReplies(dst, b []byte, n, width int, open, end string) (_, rest []byte) {
	dst = append(dst, open...)
	for i := 0; i < n && len(b) > 0; i++ {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst, b = appendReply(dst, b)
		if width == 2 {
			dst, b = appendReply(append(dst, " => "...), b)
		}
	}
	return append(dst, end...), b
}

// doHelp shows the commands.
func (d *Debugger) doHelp(*lua.Thread, []string) bool {
	for _, line := range [...]string{
		"Commands of the Lua debugger:",
		"[h]elp               These lines.",
		"[s]tep               Go on to the next line and stop there.",
		"[n]ext               The same.",
		"[c]ontinue           Go on to the next breakpoint.",
		"[l]ist [line] [ctx]  The script around a line, with so many lines before and",
		"                     after it. 0 is the line at which it is.",
		"[w]hole              The whole script.",
		"[p]rint              The local variables.",
		"[p]rint <var>        One variable, of a caller too. KEYS and ARGV are others.",
		"[b]reak              The breakpoints.",
		"[b]reak <line>       Set a breakpoint.",
		"[b]reak -<line>      Remove one.",
		"[b]reak 0            Remove all of them.",
		"[t]race              The calls that led here.",
		"[e]val <code>        Run Lua code, in a call of its own.",
		"[r]edis <cmd>        Call a Redis command.",
		"[m]axlen [len]       Show values and replies up to so many bytes; 0 is all.",
		"[a]bort              End the script. What it has changed stays in a",
		"                     synchronous session.",
		"",
		"Functions for scripts:",
		"redis.debug(...)     Show values here.",
		"redis.breakpoint()   Stop at the next line.",
	} {
		d.say(line)
	}
	return false
}
