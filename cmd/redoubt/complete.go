package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"redoubt/internal/config"
)

// completeDirectives completes the arguments of a server: the file at first, directives with
// two dashes, and the words that a directive takes.
func completeDirectives(_ *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if strings.HasPrefix(word, "-") {
		var found []cobra.Completion
		for _, h := range config.Hints() {
			if option := "--" + h.Name; strings.HasPrefix(option, word) {
				found = append(found, cobra.CompletionWithDesc(option, plainText(h.Does)))
			}
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
	if len(args) > 0 && strings.HasPrefix(args[len(args)-1], "--") {
		if values := config.Values(args[len(args)-1][len("--"):]); values != nil {
			return values, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
		}
	}
	return nil, cobra.ShellCompDirectiveDefault // a file
}

// plainText is the beginning of a text of the documentation, without its marks.
func plainText(text string) string {
	text, _, _ = strings.Cut(strings.ReplaceAll(text, "`", ""), ". ")
	text, _, _ = strings.Cut(text, "; ")
	return text
}

// bashWords stands in for the function of the package bash-completion that cobra's script
// calls, where that package is not there. The words are cut at blanks only.
const bashWords = `
if ! declare -F _get_comp_words_by_ref >/dev/null 2>&1; then
    _get_comp_words_by_ref()
    {
        local line="${COMP_LINE:0:COMP_POINT}"
        read -ra words <<<"$line"
        if [[ -z $line || $line == *[[:space:]] ]]; then
            words+=("")
        fi
        cword=$((${#words[@]} - 1))
        cur=${words[cword]}
        prev=${words[cword > 0 ? cword - 1 : 0]}
    }
fi
`

// newCompletionCommand is cobra's command, with a script for bash that needs no other
// package.
func newCompletionCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:       "completion bash|zsh|fish",
		Short:     "Print the script with which a shell completes subcommands, directives and nodes",
		Long:      "Print the script with which a shell completes subcommands, flags, directives and the nodes\nof a lab. For bash: source <(redoubt completion bash)",
		ValidArgs: []cobra.Completion{"bash", "zsh", "fish"},
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			out := cmd.OutOrStdout()
			switch args[0] {
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			}
			if err := root.GenBashCompletionV2(out, true); err != nil {
				return err
			}
			_, err := fmt.Fprint(out, bashWords)
			return err
		},
	}
}
