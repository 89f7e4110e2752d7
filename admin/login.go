package admin

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// cookieName is the page's cookie.
const cookieName = "osgate_admin"

// maxLogin is the maximum size of a login's body: a token and the name of its field.
const maxLogin = 8 << 10

// inSession reports whether r has the cookie of a login that has not expired.
func (g *guard) inSession(r *http.Request, now time.Time) bool {
	if g.token == "" {
		return false
	}
	for _, c := range r.CookiesNamed(cookieName) {
		if g.token.opens(c.Value, now) {
			return true
		}
	}
	return false
}

// login checks the token of a posted form and sets a cookie if it is right.
func (g *guard) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxLogin)
	if err := r.ParseForm(); err != nil {
		problem{
			Code: "bad-input", Status: http.StatusBadRequest, Detail: "the body is not a form", Field: "token",
		}.write(w)
		return
	}
	now := time.Now()
	ok, wait := g.try(r, r.PostForm.Get("token"), now)
	switch {
	case wait > 0:
		w.Header().Set("Retry-After", retryAfter(wait))
		sendLogin(w, http.StatusTooManyRequests,
			"Wrong token, and too many wrong tokens came from this address before. The token is the value of OSGATE_ADMIN_TOKEN.")
	case !ok:
		sendLogin(w, http.StatusUnauthorized, "Wrong token. The token is the value of OSGATE_ADMIN_TOKEN.")
	default:
		http.SetCookie(w, cookie(r, g.token.session(now), int(sessionLife/time.Second)))
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}
}

// logout deletes the cookie.
func (*guard) logout(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, cookie(r, "", -1))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// cookie returns the page's cookie for the browser that sent r. Scripts cannot read it,
// requests of other sites do not carry it, and it is for TLS only if r came over TLS.
func cookie(r *http.Request, value string, maxAge int) *http.Cookie {
	//nolint:gosec // a cookie for https only would not work over http, as on loopback
	return &http.Cookie{
		Name: cookieName, Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: overTLS(r),
	}
}

// overTLS reports whether the browser used TLS, to the gateway or to the first proxy
// (X-Forwarded-Proto). Any client can set that header, but the only effect is a
// stricter cookie.
func overTLS(r *http.Request) bool {
	first, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Proto"), ",")
	return r.TLS != nil || strings.EqualFold(strings.TrimSpace(first), "https")
}

// Token is the secret that gives an operator access. It does not print itself.
type Token string

const redacted = "[redacted]"

// String returns "[redacted]".
func (Token) String() string { return redacted }

// GoString returns "[redacted]".
func (Token) GoString() string { return redacted }

// LogValue returns "[redacted]".
func (Token) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]", for JSON too; it never fails.
func (Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// is reports whether given is the token. The time it takes depends on neither, not even
// on their lengths.
func (t Token) is(given string) bool {
	want, got := sha256.Sum256([]byte(t)), sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// sessionLife is how long a login lasts.
const sessionLife = 12 * time.Hour

// session returns the value of a cookie that proves, until it expires, that its holder
// knew the token. It is the instant of expiry, authenticated with a key derived from
// the token. So a session survives a restart and ends when the token is changed.
func (t Token) session(now time.Time) string {
	value := binary.BigEndian.AppendUint64(nil, uint64(now.Add(sessionLife).Unix()))
	return base64.RawURLEncoding.EncodeToString(append(value, t.seal(value)...))
}

// opens reports whether value is a session of this token that has not expired.
func (t Token) opens(value string, now time.Time) bool {
	raw, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil || len(raw) != 8+sha256.Size {
		return false
	}
	expiry := binary.BigEndian.Uint64(raw)
	return hmac.Equal(raw[8:], t.seal(raw[:8])) && uint64(now.Unix()) < expiry
}

// seal authenticates the instant at which a session expires.
func (t Token) seal(expiry []byte) []byte {
	mac := hmac.New(sha256.New, []byte(t))
	mac.Write([]byte("osgate admin session\x00"))
	mac.Write(expiry)
	return mac.Sum(nil)
}
