package script

import (
	"crypto/sha1"
	"encoding/hex"

	lua "github.com/yuin/gopher-lua"
)

// A Script is the body of an EVAL, compiled. It is immutable: any engine can run
// it.
type Script struct {
	sha   string
	body  string
	flags Flags
	proto *lua.FunctionProto
}

// SHA is the script's name, 40 digits in lower case.
func (s *Script) SHA() string { return s.sha }

// Body is the text that was compiled, with its shebang line.
func (s *Script) Body() string { return s.body }

// Flags are those of the shebang line, or Compatible if there is none.
func (s *Script) Flags() Flags { return s.flags }

// SHA1 names a script by its text.
func SHA1(body []byte) string {
	sum := sha1.Sum(body)
	return hex.EncodeToString(sum[:])
}
