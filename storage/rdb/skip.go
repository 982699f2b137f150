package rdb

import "redoubt/storage/rdb/wire"

// Records that are passed over: hints, and what belongs to features this
// server does not have.

// Opcodes inside the data of a module (RDB_MODULE_OPCODE_* of Redis's rdb.h).
const (
	moduleEOF    = 0
	moduleSint   = 1
	moduleUint   = 2
	moduleFloat  = 3
	moduleDouble = 4
	moduleString = 5
)

func (r *Reader) skipLengths(count uint64) error {
	for ; count > 0; count-- {
		if _, err := r.src.Length(); err != nil {
			return err
		}
	}
	return nil
}

// skipModuleAux passes over a module's id, the mark of when it was written,
// and its data.
func (r *Reader) skipModuleAux() error {
	if err := r.skipLengths(3); err != nil {
		return err
	}
	for {
		op, err := r.src.Length()
		if err != nil {
			return err
		}
		switch op {
		case moduleEOF:
			return nil
		case moduleSint, moduleUint:
			err = r.skipLengths(1)
		case moduleFloat:
			err = r.src.Skip(4)
		case moduleDouble:
			err = r.src.Skip(8)
		case moduleString:
			err = r.src.SkipString()
		default:
			err = wire.Corruptf("module opcode %d at %d", op, r.src.Offset()-1)
		}
		if err != nil {
			return err
		}
	}
}

// skipSlotImport passes over Valkey 9's note of slots being imported: a job's
// name and ranges of slots. Redis 8 uses the opcode for something else, in
// versions that are not accepted.
func (r *Reader) skipSlotImport() error {
	if !r.valkey {
		return wire.Corruptf("unknown type or opcode %d at %d", opSlotImport, r.src.Offset()-1)
	}
	if err := r.src.SkipString(); err != nil {
		return err
	}
	ranges, err := r.src.Length()
	if err != nil {
		return err
	}
	for ; ranges > 0; ranges-- {
		if err := r.skipLengths(2); err != nil {
			return err
		}
	}
	return nil
}
