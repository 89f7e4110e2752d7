package emulator_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"

	"osgate/emulator"
)

// Three lines make an Object Store v2 for a test.
func Example() {
	e, _ := emulator.New(emulator.Options{})
	server := httptest.NewServer(e)
	defer server.Close()

	answer, err := http.PostForm(server.URL+"/us/accounts/api/v2/oauth2/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"app-one"}, "client_secret": {"secret-one"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	answer.Body.Close()
	fmt.Println(answer.StatusCode)
	fmt.Println(e.Requests()[0].Target)
	// Output:
	// 200
	// /us/accounts/api/v2/oauth2/token
}
