package emulator

import (
	"encoding/json"
	"maps"
	"strconv"
)

// shown returns the attributes of a store in the chosen form: that of the pages and of
// users' reports, or that of the examples in the vendor's OpenAPI description.
func (c *call) shown(a attributes) any {
	milliseconds, text := c.chosen.is(ttlNames, "milliseconds"), c.chosen.is(encryptedForm, "string")
	if !milliseconds && !text {
		return a
	}
	shown := map[string]any{
		"storeId": a.StoreID, "encrypted": a.Encrypted,
		"permanentOsFlag": a.PermanentOSFlag, "persistent": a.Persistent,
		"defaultTtlSeconds": a.DefaultTTLSeconds, "defaultConfirmationTtlSeconds": a.DefaultConfirmationTTLSeconds,
		"isFixedTtl": a.IsFixedTTL,
	}
	if text {
		shown["encrypted"] = strconv.FormatBool(a.Encrypted)
	}
	if milliseconds {
		delete(shown, "defaultTtlSeconds")
		delete(shown, "defaultConfirmationTtlSeconds")
		shown["defaultTtlMillis"], shown["defaultConfirmationTtlMillis"] =
			1000*a.DefaultTTLSeconds, 1000*a.DefaultConfirmationTTLSeconds
	}
	return shown
}

// storeBody returns the body of a store's write with the names of the pages if those of
// the OpenAPI description are chosen.
func (c *call) storeBody() (fields, error) {
	body := maps.Clone(c.body)
	if c.chosen.is(ttlNames, "milliseconds") {
		for from, to := range map[string]string{
			"defaultTtlMillis": "defaultTtlSeconds", "defaultConfirmationTtlMillis": "defaultConfirmationTtlSeconds",
		} {
			var milliseconds int64
			if err := body.read(from, &milliseconds); err != nil {
				return nil, err
			}
			if _, given := body[from]; given {
				body[to] = json.RawMessage(strconv.FormatInt(milliseconds/1000, 10))
				delete(body, from)
			}
		}
	}
	if text, given := body["encrypted"]; given && c.chosen.is(encryptedForm, "string") {
		var quoted string
		if json.Unmarshal(text, &quoted) == nil {
			body["encrypted"] = json.RawMessage(quoted)
		}
	}
	return body, nil
}
