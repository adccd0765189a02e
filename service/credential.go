package service

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ffkeeper/ffkeeper/service/redact"
)

// credential reads a credential for a stream. From before anybody gets it, it
// is redacted wherever it may appear.
func (k *Keeper) credential(name string) ([]byte, error) {
	data, err := k.opts.Credentials.Read(name)
	if err != nil {
		return nil, err
	}
	text := strings.TrimSpace(string(data))
	switch err := k.redact.Register(text); {
	case text == "": // for who wants something in it to say
	case errors.Is(err, redact.ErrTooShort):
		return nil, fmt.Errorf("it is shorter than %d bytes and could not be kept out of what is shown", redact.MinSecret)
	case err != nil:
		return nil, err
	}
	// Its parts too: of a key with parameters, a file of several lines.
	k.redact.Learn("the credential "+name, nil, []string{"PASSWORD=" + text})
	return data, nil
}
