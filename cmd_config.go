package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"bessd/config"
)

func (p program) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check, print and explain configurations",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.configCheckCommand(), p.configPrintCommand(), p.configReferenceCommand())
	return cmd
}

func modeFlag(cmd *cobra.Command, mode *string) {
	cmd.Flags().StringVar(mode, "mode", "", "agent, central or sim; found out by the keys when left out")
}

func parseMode(s string) (config.Mode, error) {
	if m := config.Mode(s); m == config.ModeUnknown || slices.Contains(config.Modes(), m) {
		return m, nil
	}
	return "", usageError{fmt.Errorf("--mode %s; want agent, central or sim", s)}
}

func (p program) configCheckCommand() *cobra.Command {
	var mode string
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "Tell everything that is wrong with a configuration",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			m, err := parseMode(mode)
			if err != nil {
				return err
			}
			var errs []error
			for _, file := range files {
				f, err := p.loadConfig(file, m)
				if err != nil {
					errs = append(errs, err)
					continue
				}
				for _, w := range f.Warnings {
					fmt.Fprintln(p.stderr, "warning:", w.Error())
				}
				fmt.Fprintf(p.stdout, "%s: fine (%s)\n", file, f.Mode)
			}
			return errors.Join(errs...)
		},
	}
	modeFlag(cmd, &mode)
	return cmd
}

func (p program) configPrintCommand() *cobra.Command {
	var mode string
	cmd := &cobra.Command{
		Use:   "print FILE",
		Short: "Print a configuration with its defaults, secrets masked",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			m, err := parseMode(mode)
			if err != nil {
				return err
			}
			f, err := p.loadConfig(files[0], m)
			if err != nil {
				return err
			}
			text, err := f.Print()
			if err != nil {
				return err
			}
			_, err = p.stdout.Write(text)
			return err
		},
	}
	modeFlag(cmd, &mode)
	return cmd
}

func (p program) configReferenceCommand() *cobra.Command {
	return &cobra.Command{
		Use:       "reference MODE",
		Short:     "Print every key of a mode with its default and meaning",
		Args:      cobra.ExactArgs(1),
		ValidArgs: []string{"agent", "central", "sim"},
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := config.Reference(config.Mode(args[0]))
			if err != nil {
				return usageError{err}
			}
			_, err = p.stdout.Write(text)
			return err
		},
	}
}
