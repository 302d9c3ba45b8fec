// Command bessd brings the values of battery storage systems from their Modbus registers into open tables: an agent on
// each site, Kafka between, a central that writes Delta tables to an object store. See README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"bessd/internal/run"
)

func main() {
	os.Exit(realMain())
}

// realMain connects the process to run: arguments, streams and signals.
func realMain() int {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	ctx, abort, release := run.Signals(context.Background(), signals)
	defer release()
	return program{
		name: callName(os.Args[0]), args: os.Args[1:], stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, env: os.LookupEnv, abort: abort,
	}.run(ctx)
}

// callName is what a user types to call the program again: a binary that go run has built is gone by then.
func callName(arg0 string) string {
	if strings.Contains(filepath.ToSlash(arg0), "/go-build") {
		return "go run ."
	}
	return arg0
}

// Exit codes.
const (
	exitFine   = 0
	exitFailed = 1
	exitUsage  = 2 // usage or configuration
)

// program is one invocation; a test makes as many as it likes.
type program struct {
	name           string // as the user calls it
	args           []string
	stdin          io.Reader
	stdout, stderr io.Writer
	env            func(string) (string, bool)
	abort          <-chan struct{} // closed: end grace periods; may be nil
}

// usageError marks what the caller has to correct on the command line or in the configuration.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// run executes the arguments until ctx ends and returns the exit code. Nothing else exits.
func (p program) run(ctx context.Context) int {
	root := p.rootCommand()
	root.SetArgs(append([]string{}, p.args...)) // nil would mean those of the process
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return exitFine
	case errors.As(err, &usage):
		fmt.Fprintln(p.stderr, err)
		return exitUsage
	}
	fmt.Fprintln(p.stderr, "bessd:", err)
	return exitFailed
}

func (p program) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "bessd",
		Short:         "Battery telemetry from Modbus registers to open tables",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	root.AddCommand(
		p.demoCommand(),
		p.agentCommand(),
		p.centralCommand(),
		p.simCommand(),
		p.lakeCommand(),
		p.configCommand(),
		p.versionCommand(),
	)
	markUsageErrors(root)
	return root
}

// markUsageErrors makes wrong arguments and unknown subcommands usage errors.
func markUsageErrors(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
			}
			return nil
		}
	}
	for _, c := range cmd.Commands() {
		markUsageErrors(c)
	}
}

func (p program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(p.stdout, "bessd", version())
			return err
		},
	}
}

// version is the module's version, or the commit that the binary was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	v := "devel"
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			v = "devel-" + s.Value[:12]
		}
	}
	return v
}
