package admin

import (
	"redoubt/internal/command"
	"redoubt/internal/resp"
)

// moduleRow is MODULE: there are no modules, and none can be loaded, as they are
// libraries for the C program.
func moduleRow() *command.Row {
	const flags = command.Admin | command.NoScript
	refused := func(name string, arity int, since, summary string, err resp.Error, args ...command.Arg) *command.Row {
		r := serverRow(name, arity, flags|command.NoAsyncLoading, since, summary, func(x *command.Ctx) { x.Out.Error(err) })
		r.Doc.Args = args
		return r
	}
	text := func(name string) command.Arg { return command.Arg{Name: name, Type: "string"} }
	some := func(a command.Arg, token string) command.Arg {
		a.Token, a.Flags = token, command.Optional|command.Multiple
		return a
	}
	list := serverRow("list", 2, flags, "4.0.0", "Lists the modules, of which there are none.", func(x *command.Ctx) { x.Out.Array(0) })
	list.Doc.Tips = []string{"nondeterministic_output_order"}
	setting := command.Arg{Name: "configs", Type: "block", Args: []command.Arg{text("name"), text("value")}}
	return &command.Row{Name: "module", Arity: -2, Doc: command.Brief("4.0.0", "server", "Is about modules, which cannot be loaded here."), Sub: []*command.Row{
		list,
		refused("load", -3, "4.0.0", "Refuses to load a module.", resp.ErrNoModules, text("path"), some(text("arg"), "")),
		refused("loadex", -3, "7.0.0", "Refuses to load a module.", resp.ErrNoModules, text("path"), some(setting, "CONFIG"), some(text("args"), "ARGS")),
		refused("unload", 3, "4.0.0", "Refuses to unload a module, as there is none.", resp.ErrNoSuchModule, text("name")),
		serverRow("help", 2, command.Loading|command.Stale, "5.0.0", "Lists the sub-commands.", func(x *command.Ctx) {
			command.Help(x, "LIST", "    The modules, of which there are none.",
				"LOAD <path> [<arg> ...]", "    Refused: there are no modules.",
				"LOADEX <path> [CONFIG <name> <value> ...] [ARGS <arg> ...]", "    Refused: there are no modules.",
				"UNLOAD <name>", "    Refused: there are no modules.")
		}),
	}}
}
