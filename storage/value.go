package storage

// Type is the type of a value.
type Type uint8

// The types there are. Their numbers are Redis's OBJ_ constants, which the
// digest contains.
const (
	TypeString Type = 0
	TypeList   Type = 1
	TypeSet    Type = 2
	TypeZSet   Type = 3
	TypeHash   Type = 4
	TypeModule Type = 5
	TypeStream Type = 6
)

var typeNames = [...]string{"string", "list", "set", "zset", "hash", "module", "stream"}

// String returns the name that the command TYPE gives.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "unknown"
}
