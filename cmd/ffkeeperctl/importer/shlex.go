package importer

import (
	"errors"
	"strings"
)

const shlexBlanks = " \t\r\n"

// shlexSplit is Python's shlex.split, by which supervisord makes an argv of a
// command: a backslash keeps the next character, in double quotes only a quote
// or a backslash. No variable and no pattern means anything.
func shlexSplit(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	begun, quote := false, byte(0)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quote != 0 && c == quote:
			quote = 0
		case quote == '\'':
			word.WriteByte(c)
		case c == '\\':
			if i++; i == len(text) {
				return nil, errors.New("it ends with a backslash")
			}
			if quote == '"' && text[i] != '"' && text[i] != '\\' {
				word.WriteByte('\\')
			}
			word.WriteByte(text[i])
			begun = true
		case quote != 0:
			word.WriteByte(c)
		case c == '"' || c == '\'':
			quote, begun = c, true
		case strings.IndexByte(shlexBlanks, c) >= 0:
			if begun {
				words = append(words, word.String())
				word.Reset()
				begun = false
			}
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	if quote != 0 {
		return nil, errors.New("a quote in it is never closed")
	}
	if begun {
		words = append(words, word.String())
	}
	return words, nil
}

// shlexTokens is list(shlex.shlex(text)) with the letters that supervisord adds
// to those of words: quotes stay, and can only begin a token; # begins a
// comment, in the middle of a word too; what is neither is a token by itself.
func shlexTokens(text string) ([]string, error) {
	var tokens []string
	token := ""
	comment := func(i int) int {
		if n := strings.IndexByte(text[i:], '\n'); n >= 0 {
			return i + n
		}
		return len(text)
	}
	for i := 0; i < len(text); {
		c := text[i]
		if token == "" {
			switch {
			case strings.IndexByte(shlexBlanks, c) >= 0:
				i++
			case c == '#':
				i = comment(i) + 1
			case wordLetter(c):
				token = string(c)
				i++
				continue
			case c == '"' || c == '\'':
				end := strings.IndexByte(text[i+1:], c)
				if end < 0 {
					return nil, errors.New("a quote in it is never closed")
				}
				tokens = append(tokens, text[i:i+end+2])
				i += end + 2
			default:
				n := 1 // a character, whatever bytes it has
				for i+n < len(text) && text[i+n]&0xc0 == 0x80 {
					n++
				}
				tokens = append(tokens, text[i:i+n])
				i += n
			}
			continue
		}
		switch {
		case c == '#':
			i = comment(i) + 1
		case wordLetter(c) || c == '"' || c == '\'':
			token += string(c)
			i++
		default:
			tokens = append(tokens, token)
			token = ""
		}
	}
	if token != "" {
		tokens = append(tokens, token)
	}
	return tokens, nil
}

func wordLetter(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("_/.+-():", c) >= 0
}

// pairs reads A="b",C=d as supervisord does.
func pairs(text string) ([]option, error) {
	tokens, err := shlexTokens(text)
	if err != nil {
		return nil, err
	}
	var out []option
	for i := 0; i < len(tokens); i += 4 {
		if i+3 > len(tokens) || tokens[i+1] != "=" {
			return nil, errors.New(`it is no list of NAME="value", with commas`)
		}
		out = append(out, option{tokens[i], strings.Trim(tokens[i+2], `'"`)})
	}
	return out, nil
}
