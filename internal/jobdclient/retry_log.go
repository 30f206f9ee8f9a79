package jobdclient

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// retryLog hands what go-retryablehttp logs to slog at level debug (what matters is in the error that a call returns) and
// takes the token out of every value.
type retryLog struct {
	logger *slog.Logger
	secret string
}

// Error implements retryablehttp.LeveledLogger.
func (l retryLog) Error(msg string, pairs ...any) { l.log(msg, pairs) }

// Info implements retryablehttp.LeveledLogger.
func (l retryLog) Info(msg string, pairs ...any) { l.log(msg, pairs) }

// Debug implements retryablehttp.LeveledLogger.
func (l retryLog) Debug(msg string, pairs ...any) { l.log(msg, pairs) }

// Warn implements retryablehttp.LeveledLogger.
func (l retryLog) Warn(msg string, pairs ...any) { l.log(msg, pairs) }

func (l retryLog) log(msg string, pairs []any) {
	ctx := context.Background()
	if !l.logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	attrs := make([]slog.Attr, 0, 1+len(pairs)/2)
	attrs = append(attrs, slog.String("event", msg))
	for i := 0; i+1 < len(pairs); i += 2 {
		value := fmt.Sprint(pairs[i+1])
		if l.secret != "" {
			value = strings.ReplaceAll(value, l.secret, "[token]")
		}
		attrs = append(attrs, slog.String(fmt.Sprint(pairs[i]), value))
	}
	l.logger.LogAttrs(ctx, slog.LevelDebug, "request to jobd", attrs...)
}
