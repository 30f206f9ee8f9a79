package redact

import "strings"

// secretWords name a secret wherever they are a whole word of a key: db_password, authToken, client.secret.
var secretWords = map[string]bool{
	"password": true, "passwords": true, "passwd": true, "passphrase": true, "pwd": true, "pass": true,
	"secret": true, "secrets": true, "token": true, "tokens": true, "apikey": true, "credential": true, "credentials": true,
	"privatekey": true, "priv": true, "authorization": true, "cookie": true,
}

// secretKeys are the words that make a secret of a "key" that follows them: api_key, private-key, accessKey.
var secretKeys = map[string]bool{
	"api": true, "private": true, "access": true, "secret": true, "auth": true, "encryption": true, "signing": true, "account": true,
}

// Secret says whether a key names a secret. Only names that a program would give count: a path or a state's key that has
// such a word in it is no secret.
func Secret(key string) bool {
	if len(key) < 3 || len(key) > 64 || !mayBeSecret(key) {
		return false
	}
	before := ""
	for word := range words(key) {
		if secretWords[word] || (word == "key" && secretKeys[before]) {
			return true
		}
		before = word
	}
	return false
}

// mayBeSecret rules out nearly all keys without building anything: each secret word has one of these letters pairs in it,
// and a name has only letters, digits and separators.
func mayBeSecret(key string) bool {
	hit := false
	for i := range len(key) {
		c := key[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-', c == '.':
		default:
			return false
		}
		if c |= 0x20; c == 'p' || c == 's' || c == 't' || c == 'k' || c == 'c' || c == 'a' {
			hit = true
		}
	}
	return hit
}

// words yields the lower-case words of a name in snake, kebab, dotted or camel case.
func words(key string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		start := 0
		for i := 0; i <= len(key); i++ {
			end := i == len(key)
			sep := !end && (key[i] == '_' || key[i] == '-' || key[i] == '.')
			camel := !end && i > start && key[i] >= 'A' && key[i] <= 'Z' && key[i-1] >= 'a' && key[i-1] <= 'z'
			if !end && !sep && !camel {
				continue
			}
			if i > start && !yield(strings.ToLower(key[start:i])) {
				return
			}
			start = i
			if sep {
				start++
			}
		}
	}
}
