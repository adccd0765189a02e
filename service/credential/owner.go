package credential

import (
	"os"
	"os/user"
	"strconv"
)

// ownName is the user that we are, for a command line.
func ownName() string {
	id := strconv.Itoa(os.Geteuid())
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}
