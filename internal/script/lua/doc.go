// Package lua is Lua 5.1: a compiler, a machine and the standard libraries, for
// programs that come from clients. What a program may reach, and how much time
// and memory it may take, is up to who runs it.
//
// A source becomes a Proto (lexer, parser and statement, codegen), in one pass, as in
// PUC Lua. A State runs closures of protos (vm, call), with values (value), tables
// (table), metatables (meta) and threads. Its behaviour is that of PUC Lua 5.1.5 to
// the wording of errors (debug) and the order of pairs(), because scripts and
// their clients depend on both. What it adds:
//
//   - tables can be read-only;
//   - Interrupt stops a program from outside: it asks OnInterrupt at each call and
//     jump backwards, and what that returns no pcall catches;
//   - a bound on memory (memory): a program that holds more gets the error "not
//     enough memory";
//   - a program can be traced (trace), line by line, for a debugger; others pay
//     nothing for that;
//   - calls and nested data are bounded, so that no program exhausts the stack
//     of the goroutine.
//
// There is no bytecode to load or to dump. Weak tables are not weak and there are
// no finalizers: memory is the Go runtime's.
//
// The instruction set, the way code is generated and the layout of tables are
// those of PUC Lua 5.1, Copyright (C) 1994-2012 Lua.org, PUC-Rio, which is free
// software under the MIT licence: permission is granted, free of charge, to deal
// in it without restriction, provided that this notice is kept; it comes without
// warranty of any kind.
package lua
