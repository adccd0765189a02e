package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/caarlos0/env/v10"
)

// exitConfig is EX_CONFIG of sysexits.h. ffkeeper.service names it in
// RestartPreventExitStatus=: starting again cannot mend a wrong setting.
const exitConfig = 78

// exitHandedOver is EX_TEMPFAIL: the streams run on and want a keeper.
// ffkeeper.service is started again then, and not after 0.
const exitHandedOver = 75

// Settings are the FFKEEPER_* variables, validated. Each field's variable is
// described by the row of settingsTable of the same name.
type Settings struct {
	Bus            BusSetting   `env:"FFKEEPER_BUS"`
	StreamPath     StreamPath   `env:"FFKEEPER_STREAM_PATH"`     // absolute; the first directory wins
	CredentialPath StreamPath   `env:"FFKEEPER_CREDENTIAL_PATH"` // absolute
	StateDir       StateDir     `env:"FFKEEPER_STATE_DIR"`       // absolute; may not exist yet
	Shim           ShimSetting  `env:"FFKEEPER_SHIM"`
	Log            LogForm      `env:"FFKEEPER_LOG"`
	LogLevel       LogLevel     `env:"FFKEEPER_LOG_LEVEL"`
	FFmpeg         ProgramNamed `env:"FFKEEPER_FFMPEG"`
}

type (
	BusSetting   string   // "system", "session", "private" or a D-Bus address
	StreamPath   []string // of directories
	StateDir     string
	ShimSetting  string // "auto", "embedded" or an absolute socket path
	LogForm      string // "auto", "journal", "text" or "json"
	LogLevel     int    // syslog priority, 0 emerg to 7 debug
	ProgramNamed string // a name to be found in PATH, or an absolute path
)

// setting is one row of the table that the parser, --help, --check-settings
// and docs/settings.md share.
type setting struct {
	Name    string
	Default string // as shown to people; what is used is value(environment)
	Allowed string // completes "allowed: "
	Meaning string // one sentence or two, for people
	value   func(environ map[string]string) string
}

// settingsTable is the one list of settings, in the order they are shown.
func settingsTable() []setting {
	fixed := func(s string) func(map[string]string) string {
		return func(map[string]string) string { return s }
	}
	const credentialPath = "/etc/ffkeeper/credentials"
	const streamPath = "/etc/ffkeeper/streams.d:/run/ffkeeper-streams.d:/usr/lib/ffkeeper/streams.d"
	return []setting{
		{
			"FFKEEPER_BUS", "system",
			"system, session, private or a D-Bus address such as unix:path=/run/dbus/system_bus_socket",
			"The bus to serve on. private starts a dbus-daemon of its own and leaves its address in the state directory, where ffkeeperctl with the same setting finds it.",
			fixed("system"),
		}, {
			"FFKEEPER_STREAM_PATH", streamPath,
			"directories separated by colons, at least one and none empty",
			"Where stream files are looked for; of two files of one name that in the earlier directory counts.",
			fixed(streamPath),
		}, {
			"FFKEEPER_CREDENTIAL_PATH", credentialPath,
			"directories separated by colons, at least one and none empty",
			"Where the credentials of streams are looked for, after those that systemd hands to the unit (LoadCredential=). Files there are for their owner alone, mode 0600, and belong to root or to the keeper's user.",
			fixed(credentialPath),
		}, {
			"FFKEEPER_STATE_DIR", "$RUNTIME_DIRECTORY, else $XDG_RUNTIME_DIR/ffkeeper, else /tmp/ffkeeper-UID",
			"an absolute path",
			"Where run-time files are, such as the private bus's socket and address.",
			defaultStateDir,
		}, {
			"FFKEEPER_SHIM", "auto",
			"auto, embedded or the absolute path of a socket",
			"Who holds the streams' processes: auto is the shim behind systemd's socket if there is one, else an ffkeeper-shim started as a child; embedded is ffkeeperd's own process; a path is the socket of a shim that runs already.",
			fixed("auto"),
		}, {
			"FFKEEPER_LOG", "auto",
			"auto, journal, text or json",
			"Where log records go: the journal with all fields, or lines of text or JSON on standard error. auto is journal where $JOURNAL_STREAM says that standard error is the journal, else text.",
			fixed("auto"),
		}, {
			"FFKEEPER_LOG_LEVEL", "info",
			strings.Join(logLevels, ", ") + " or 0 to 7",
			"The least important records that are logged.",
			fixed("info"),
		}, {
			"FFKEEPER_FFMPEG", "ffmpeg",
			"a program name without a slash, or an absolute path",
			"What a bare ffmpeg in ExecStart= runs.",
			fixed("ffmpeg"),
		},
	}
}

// logLevels are syslog's names as systemd spells them; the index is the
// priority.
var logLevels = []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}

// settingError is a wrong setting; its text is one line for people.
type settingError struct {
	Variable, Value, Allowed string
}

func (e *settingError) Error() string {
	return fmt.Sprintf("%s=%s is not allowed; allowed: %s", e.Variable, shown(e.Value), e.Allowed)
}

// shown quotes a value that would break the line or hide its own ends.
func shown(s string) string {
	if q := strconv.Quote(s); q != `"`+s+`"` || strings.TrimSpace(s) != s {
		return q
	}
	return s
}

// parseSettings reads the settings from an environment (NAME=value each).
// An empty variable counts as unset. The error joins one settingError a wrong
// variable. The warnings name FFKEEPER_ variables that do not exist, which
// are most likely misspelt.
func parseSettings(environ []string) (s Settings, warnings []string, err error) {
	table := settingsTable()
	values, given := completed(environ)
	err = env.ParseWithOptions(&s, env.Options{Environment: values, FuncMap: parsers()})
	if err != nil {
		return Settings{}, nil, namedByVariable(err, table, values)
	}
	return s, unknownVariables(given, table), nil
}

// completed is the environment as given, and the value of every setting.
// env takes a default from a struct tag only; with a complete environment the
// table stays the one source.
func completed(environ []string) (values, given map[string]string) {
	values, given = map[string]string{}, map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		given[name] = value
	}
	for _, row := range settingsTable() {
		values[row.Name] = given[row.Name]
		if given[row.Name] == "" {
			values[row.Name] = row.value(given)
		}
	}
	return values, given
}

// namedByVariable rewrites env's errors, which name the struct's field, into
// errors that name what a person can mend.
func namedByVariable(err error, table []setting, values map[string]string) error {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return err
	}
	var named []error
	for _, e := range all.Errors {
		var bad env.ParseError
		if !errors.As(e, &bad) {
			named = append(named, e)
			continue
		}
		field, _ := reflect.TypeFor[Settings]().FieldByName(bad.Name)
		name := field.Tag.Get("env")
		row := slices.IndexFunc(table, func(r setting) bool { return r.Name == name })
		named = append(named, &settingError{name, values[name], table[row].Allowed})
	}
	return errors.Join(named...)
}

func unknownVariables(given map[string]string, table []setting) []string {
	var warnings []string
	for name := range given {
		known := slices.ContainsFunc(table, func(r setting) bool { return r.Name == name })
		if strings.HasPrefix(name, "FFKEEPER_") && !known {
			warnings = append(warnings, name+" is no setting of ffkeeperd and is ignored")
		}
	}
	slices.Sort(warnings)
	return warnings
}

var errNotAllowed = errors.New("not allowed")

// parsers are keyed by the field's type, as env wants them. Their errors
// carry no text: the table's Allowed says it better.
func parsers() map[reflect.Type]env.ParserFunc {
	return map[reflect.Type]env.ParserFunc{
		reflect.TypeFor[BusSetting]():   parseBus,
		reflect.TypeFor[StreamPath]():   parseStreamPath,
		reflect.TypeFor[StateDir]():     parseStateDir,
		reflect.TypeFor[ShimSetting]():  parseShim,
		reflect.TypeFor[LogForm]():      parseLogForm,
		reflect.TypeFor[LogLevel]():     parseLogLevel,
		reflect.TypeFor[ProgramNamed](): parseProgram,
	}
}

// A D-Bus address is transports separated by semicolons, each a name, a colon
// and key=value pairs separated by commas (D-Bus specification, "Server
// Addresses").
var busAddress = func() *regexp.Regexp {
	const transport = `[a-z][a-z-]*:([a-z]+=[^,;=]+(,[a-z]+=[^,;=]+)*)?`
	return regexp.MustCompile(`^` + transport + `(;` + transport + `)*$`)
}()

func parseBus(v string) (any, error) {
	if slices.Contains([]string{"system", "session", "private"}, v) || busAddress.MatchString(v) {
		return BusSetting(v), nil
	}
	return nil, errNotAllowed
}

func parseStreamPath(v string) (any, error) {
	var dirs StreamPath
	for _, d := range strings.Split(v, ":") {
		abs, err := filepath.Abs(d)
		if d == "" || err != nil {
			return nil, errNotAllowed
		}
		dirs = append(dirs, abs)
	}
	return dirs, nil
}

func parseStateDir(v string) (any, error) {
	if !filepath.IsAbs(v) {
		return nil, errNotAllowed
	}
	return StateDir(filepath.Clean(v)), nil
}

func parseShim(v string) (any, error) {
	if v != "auto" && v != "embedded" && !filepath.IsAbs(v) {
		return nil, errNotAllowed
	}
	return ShimSetting(v), nil
}

func parseLogForm(v string) (any, error) {
	if !slices.Contains([]string{"auto", "journal", "text", "json"}, v) {
		return nil, errNotAllowed
	}
	return LogForm(v), nil
}

func parseLogLevel(v string) (any, error) {
	if n := slices.Index(logLevels, v); n >= 0 {
		return LogLevel(n), nil
	}
	if len(v) == 1 && v[0] >= '0' && v[0] <= '7' {
		return LogLevel(v[0] - '0'), nil
	}
	return nil, errNotAllowed
}

func parseProgram(v string) (any, error) {
	if strings.Contains(v, "/") && !filepath.IsAbs(v) {
		return nil, errNotAllowed
	}
	return ProgramNamed(v), nil
}
