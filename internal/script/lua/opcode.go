package lua

// An instruction has its operation in the lowest 6 bits, then A (8 bits) and
// either C and B (9 bits each) or Bx (18 bits), as in PUC Lua 5.1. sBx is Bx with
// the middle of its range as zero. An operand of 9 bits that is written RK is a
// register, or with its highest bit a constant.
type instruction uint32

type opcode uint8

const (
	opMove      opcode = iota // R[A] = R[B]
	opLoadK                   // R[A] = K[Bx]
	opLoadBool                // R[A] = B != 0; skip the next if C
	opLoadNil                 // R[A..B] = nil
	opGetUpval                // R[A] = U[B]
	opGetGlobal               // R[A] = G[K[Bx]]
	opGetTable                // R[A] = R[B][RK[C]]
	opSetGlobal               // G[K[Bx]] = R[A]
	opSetUpval                // U[B] = R[A]
	opSetTable                // R[A][RK[B]] = RK[C]
	opNewTable                // R[A] = {} with sizes B, C
	opSelf                    // R[A+1] = R[B]; R[A] = R[B][RK[C]]
	opAdd                     // R[A] = RK[B] + RK[C]
	opSub
	opMul
	opDiv
	opMod
	opPow
	opUnm      // R[A] = -R[B]
	opNot      // R[A] = not R[B]
	opLen      // R[A] = #R[B]
	opConcat   // R[A] = R[B] .. … .. R[C]
	opJmp      // pc += sBx
	opEq       // if (RK[B] == RK[C]) != A then skip the next
	opLt       // <
	opLe       // <=
	opTest     // if R[A].Truth() != C then skip the next
	opTestSet  // if R[B].Truth() == C then R[A] = R[B] else skip the next
	opCall     // R[A..A+C-2] = R[A](R[A+1..A+B-1])
	opTailCall // return R[A](R[A+1..A+B-1])
	opReturn   // return R[A..A+B-2]
	opForLoop  // R[A] += R[A+2]; if R[A] <= R[A+1] then pc += sBx, R[A+3] = R[A]
	opForPrep  // R[A] -= R[A+2]; pc += sBx
	opTForLoop // R[A+3..A+2+C] = R[A](R[A+1], R[A+2]); if R[A+3] is not nil then R[A+2] = it, else skip the next
	opSetList  // R[A][(C-1)*50+i] = R[A+i] for i in 1..B
	opClose    // close variables from R[A] on
	opClosure  // R[A] = a closure of P[Bx]; a MOVE or GETUPVAL for each variable follows
	opVararg   // R[A..A+B-2] = ...
	opTrap     // tell the tracer, then do what the code has here; see Proto.Traced
)

const (
	maxBx          = 1<<18 - 1
	maxSBx         = maxBx >> 1
	maxB           = 1<<9 - 1
	maxC           = 1<<9 - 1
	constantBit    = 1 << 8
	noRegister     = 255
	fieldsPerFlush = 50
)

func makeABC(op opcode, a, b, c int) instruction {
	return instruction(op) | instruction(a)<<6 | instruction(c)<<14 | instruction(b)<<23
}

func makeABx(op opcode, a, bx int) instruction {
	return instruction(op) | instruction(a)<<6 | instruction(bx)<<14
}

func (i instruction) op() opcode { return opcode(i & 0x3f) }
func (i instruction) a() int     { return int(i>>6) & 0xff }
func (i instruction) b() int     { return int(i >> 23) }
func (i instruction) c() int     { return int(i>>14) & 0x1ff }
func (i instruction) bx() int    { return int(i >> 14) }
func (i instruction) sbx() int   { return int(i>>14) - maxSBx }

func (i *instruction) setOp(op opcode) { *i = *i&^0x3f | instruction(op) }
func (i *instruction) setA(a int)      { *i = *i&^(0xff<<6) | instruction(a)<<6 }
func (i *instruction) setB(b int)      { *i = *i&^(0x1ff<<23) | instruction(b)<<23 }
func (i *instruction) setC(c int)      { *i = *i&^(0x1ff<<14) | instruction(c)<<14 }
func (i *instruction) setSBx(s int)    { *i = *i&^(maxBx<<14) | instruction(s+maxSBx)<<14 }

// A Proto is a compiled function. It is immutable, and any state can run it.
type Proto struct {
	source    string // as errors show it
	line      int    // where it is defined, 0 for a chunk
	code      []instruction
	run       []instruction // what the machine executes: code, or traps
	lines     []int32       // of code
	constants []Value
	hashes    []uint32 // of the constants that are strings
	protos    []*Proto
	params    int
	vararg    uint8
	needsArg  bool // the vararg function uses the old variable arg
	upvals    int
	maxStack  int
	locals    []localName
	upvalues  []string // their names
}

const (
	isVararg  = 1
	hasArgVar = 2
)

// A localName says in which instructions a register is a named variable.
type localName struct {
	name       string
	start, end int
}

// Size is about the memory that the function takes.
func (p *Proto) Size() int {
	size := 200 + len(p.code)*8 + len(p.constants)*20 + len(p.locals)*32
	for _, k := range p.constants {
		if k.isString() {
			size += k.strLen()
		}
	}
	for _, inner := range p.protos {
		size += inner.Size()
	}
	return size
}

// localAt names the n-th local variable that is active at an instruction, from 1.
func (p *Proto) localAt(n, pc int) string {
	for i := range p.locals {
		l := &p.locals[i]
		if l.start > pc {
			break
		}
		if pc < l.end {
			if n--; n == 0 {
				return l.name
			}
		}
	}
	return ""
}
