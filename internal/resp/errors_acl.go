package resp

import "fmt"

// Users.
const (
	ErrUserName      Error = "ERR Usernames can't contain spaces or null characters"
	ErrDefaultUser   Error = "ERR The 'default' user cannot be removed"
	ErrNoACLFile     Error = "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis configuration."
	ErrACLSave       Error = "ERR There was an error trying to save the ACLs. Please check the server logs for more information"
	ErrGenPass       Error = "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096"
	ErrNoPermKey     Error = "NOPERM No permissions to access a key"
	ErrNoPermChannel Error = "NOPERM No permissions to access a channel"
	errExecNoPerm          = "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: "
	ErrExecNoCommand Error = errExecNoPerm + "no permission to execute the command or subcommand"
	ErrExecNoKey     Error = errExecNoPerm + "no permission to touch the specified keys"
	ErrExecNoChannel Error = errExecNoPerm + "no permission to access one of the channels used as arguments"
)

// ErrNoPermCommand is the error of a command that the user may not run.
func ErrNoPermCommand(user, command string) Error {
	return Error("NOPERM User " + user + " has no permissions to run the '" + command + "' command")
}

// ErrInScriptNoPerm is an error of permissions for a command that a script calls.
func ErrInScriptNoPerm(err Error) Error {
	return "ERR ACL failure in script: " + err[len("NOPERM "):]
}

// ErrUnknownCategory is the error of an ACL CAT that names none.
func ErrUnknownCategory(name []byte) Error {
	return Error(fmt.Sprintf("ERR Unknown category '%s'", cut(name, 128)))
}

// ErrDryRunUser, ErrDryRunCommand and ErrDryRunArity are the errors of ACL DRYRUN.
func ErrDryRunUser(name []byte) Error { return Error(fmt.Sprintf("ERR User '%s' not found", name)) }

func ErrDryRunCommand(name []byte) Error {
	return Error(fmt.Sprintf("ERR Command '%s' not found", name))
}

func ErrDryRunArity(name string) Error {
	return Error(fmt.Sprintf("ERR wrong number of arguments for '%s' command", name))
}
