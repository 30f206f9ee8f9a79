package httpclient

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// RetryLog hands what go-retryablehttp logs to a logger at level debug (what matters is in the error that a call returns) and
// takes secrets out of every value. It is a retryablehttp.LeveledLogger.
type RetryLog struct {
	Logger  *slog.Logger
	About   string          // the server, for example "jobd"
	Secrets func() []string // the secrets of the moment; nil for none
}

// Error implements retryablehttp.LeveledLogger.
func (l RetryLog) Error(msg string, pairs ...any) { l.log(msg, pairs) }

// Info implements retryablehttp.LeveledLogger.
func (l RetryLog) Info(msg string, pairs ...any) { l.log(msg, pairs) }

// Debug implements retryablehttp.LeveledLogger.
func (l RetryLog) Debug(msg string, pairs ...any) { l.log(msg, pairs) }

// Warn implements retryablehttp.LeveledLogger.
func (l RetryLog) Warn(msg string, pairs ...any) { l.log(msg, pairs) }

func (l RetryLog) log(msg string, pairs []any) {
	ctx := context.Background()
	if !l.Logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	var secrets []string
	if l.Secrets != nil {
		secrets = l.Secrets()
	}
	attrs := make([]slog.Attr, 0, 2+len(pairs)/2)
	attrs = append(attrs, slog.String("about", l.About), slog.String("event", msg))
	for i := 0; i+1 < len(pairs); i += 2 {
		value := fmt.Sprint(pairs[i+1])
		for _, secret := range secrets {
			if secret != "" {
				value = strings.ReplaceAll(value, secret, "[secret]")
			}
		}
		attrs = append(attrs, slog.String(fmt.Sprint(pairs[i]), value))
	}
	l.Logger.LogAttrs(ctx, slog.LevelDebug, "http request", attrs...)
}
