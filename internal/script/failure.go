package script

import (
	"strconv"
	"strings"

	"redoubt/internal/resp"
	"redoubt/internal/script/lua"
)

// errorLine is the line that a client gets for an uncaught error, as luaCallFunction
// words it: the text, then the name of the script or function and the place.
func errorLine(failure *lua.Error, name string) (line resp.Error, counted bool) {
	if failure.Source == "" && failure.Value.Kind() != lua.KindTable {
		message := "execution failure"
		if s, ok := failure.Value.ToString(); ok {
			message = s[:min(len(s), 100)]
		}
		return resp.Error("ERR Error running script " + name + ", " + message), false
	}
	if h := failure.Value.Table(); h != nil {
		line, counted = tableError(h)
	} else {
		line = resp.Error("ERR " + textOf(failure.Value))
		if failure.Aborted {
			line = resp.Error(textOf(failure.Value))
		}
	}
	source, at := failure.Source, strconv.Itoa(failure.Line)
	if h := failure.Value.Table(); h != nil && source == "" {
		source, _ = h.GetStr("source").ToString()
		at, _ = h.GetStr("line").ToString()
	}
	if source == "" {
		return trimLine(string(line)), counted
	}
	return trimLine(string(line) + " script: " + name + ", on " + source + ":" + at + "."), counted
}

// textOf is tostring of a value that is no table.
func textOf(v lua.Value) string {
	if s, ok := v.ToString(); ok {
		return cString(s)
	}
	return v.Text()
}

// tableError is the line of an error table, and whether a command has counted
// it; luaExtractErrorInformation.
func tableError(h *lua.Table) (line resp.Error, counted bool) {
	text, ok := h.GetStr("err").ToString()
	if !ok {
		text = "ERR unknown error"
	}
	flag := h.GetStr("ignore_error_stats_update")
	return trimLine(cString(text)), flag.Kind() == lua.KindBool && flag.Truth()
}

// trimLine takes line ends off the end; those within become spaces when the line
// is written.
func trimLine(s string) resp.Error {
	return resp.Error(oneLine(strings.TrimRight(s, "\r\n")))
}
