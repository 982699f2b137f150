package main

import (
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
