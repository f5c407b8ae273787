// A partner's site in Go, by go-oidc and x/oauth2 as their documentation says: discovery, a code with PKCE, userinfo,
// refresh and logout. It knows the issuer, a client id and a secret, all from the environment, and one person at a time.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"log"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

var (
	address  = os.Getenv("ADDRESS")
	provider *oidc.Provider
	config   oauth2.Config
	logout   struct {
		Endpoint string `json:"end_session_endpoint"`
	}

	verifier, state, nonce string
	tokens                 *oauth2.Token
	idToken                string
)

func signIn(*http.Request) (string, error) {
	verifier, state, nonce = oauth2.GenerateVerifier(), oauth2.GenerateVerifier(), oauth2.GenerateVerifier()
	return config.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), nil
}

func callback(r *http.Request) (string, error) {
	if r.FormValue("state") != state {
		return "", errors.New("another state")
	}
	got, err := config.Exchange(r.Context(), r.FormValue("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		return "", err
	}
	raw, _ := got.Extra("id_token").(string)
	said, err := provider.Verifier(&oidc.Config{ClientID: config.ClientID}).Verify(r.Context(), raw)
	if err != nil {
		return "", err
	}
	if said.Nonce != nonce {
		return "", errors.New("another nonce")
	}
	if err := said.VerifyAccessToken(got.AccessToken); err != nil {
		return "", err
	}
	tokens, idToken = got, raw
	return address + "/", nil
}

func home(r *http.Request) (string, error) {
	if tokens == nil {
		return "not signed in", nil
	}
	info, err := provider.UserInfo(r.Context(), oauth2.StaticTokenSource(tokens))
	if err != nil {
		return "", err
	}
	var claims map[string]any
	if err := info.Claims(&claims); err != nil {
		return "", err
	}
	text, err := json.Marshal(claims)
	return string(text), err
}

func refresh(r *http.Request) (string, error) {
	before := tokens.AccessToken
	got, err := config.TokenSource(r.Context(), &oauth2.Token{RefreshToken: tokens.RefreshToken}).Token()
	if err != nil {
		return "", err
	}
	tokens = got
	if before == tokens.AccessToken {
		return "the same access token", nil
	}
	return "another access token", nil
}

func signOut(*http.Request) (string, error) {
	asked := url.Values{"id_token_hint": {idToken}, "post_logout_redirect_uri": {address + "/"}}
	tokens = nil
	return logout.Endpoint + "?" + asked.Encode(), nil
}

func page(answer func(*http.Request) (string, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		text, err := answer(r)
		if err != nil {
			text = err.Error()
		}
		if strings.HasPrefix(text, "http") {
			http.Redirect(w, r, text, http.StatusSeeOther)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<main id="main">%s</main>`, html.EscapeString(text))
	}
}

func main() {
	var err error
	if provider, err = oidc.NewProvider(context.Background(), os.Getenv("ISSUER")); err != nil {
		log.Fatal(err)
	}
	if err = provider.Claims(&logout); err != nil {
		log.Fatal(err)
	}
	config = oauth2.Config{
		ClientID: os.Getenv("CLIENT_ID"), ClientSecret: os.Getenv("CLIENT_SECRET"), Endpoint: provider.Endpoint(),
		RedirectURL: address + "/callback", Scopes: []string{oidc.ScopeOpenID, "profile", "email", oidc.ScopeOfflineAccess},
	}
	http.HandleFunc("/sign-in", page(signIn))
	http.HandleFunc("/callback", page(callback))
	http.HandleFunc("/refresh", page(refresh))
	http.HandleFunc("/sign-out", page(signOut))
	http.HandleFunc("/{$}", page(home))
	log.Fatal(http.ListenAndServe(strings.TrimPrefix(address, "http://"), nil))
}
