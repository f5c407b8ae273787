// A partner's site in Node, by openid-client as its documentation says: discovery, a code with PKCE, userinfo, refresh
// and logout. It knows the issuer, a client id and a secret, all from the environment, and one person at a time.

import { createServer } from 'node:http'
import * as oidc from 'openid-client'

const { ISSUER, CLIENT_ID, CLIENT_SECRET, ADDRESS } = process.env
const config = await oidc.discovery(new URL(ISSUER), CLIENT_ID, CLIENT_SECRET)
const redirect_uri = `${ADDRESS}/callback`
let checks, tokens, person

const routes = {
  async '/sign-in'() {
    const pkceCodeVerifier = oidc.randomPKCECodeVerifier()
    checks = { pkceCodeVerifier, expectedState: oidc.randomState(), expectedNonce: oidc.randomNonce() }
    return oidc.buildAuthorizationUrl(config, {
      redirect_uri,
      scope: 'openid profile email offline_access',
      code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: 'S256',
      state: checks.expectedState,
      nonce: checks.expectedNonce,
    })
  },
  async '/callback'(url) {
    tokens = await oidc.authorizationCodeGrant(config, url, checks)
    person = tokens.claims()
    return new URL('/', ADDRESS)
  },
  async '/'() {
    if (!person) return 'not signed in'
    return JSON.stringify(await oidc.fetchUserInfo(config, tokens.access_token, person.sub))
  },
  async '/refresh'() {
    const before = tokens
    tokens = { ...before, ...(await oidc.refreshTokenGrant(config, before.refresh_token)) }
    return before.access_token === tokens.access_token ? 'the same access token' : 'another access token'
  },
  async '/sign-out'() {
    const hint = tokens.id_token
    person = undefined
    return oidc.buildEndSessionUrl(config, { id_token_hint: hint, post_logout_redirect_uri: `${ADDRESS}/` })
  },
}

createServer(async (request, response) => {
  const url = new URL(request.url, ADDRESS)
  let answer
  try {
    answer = await (routes[url.pathname] ?? (() => 'no such page'))(url)
  } catch (error) {
    answer = `${error.code ?? error.name}: ${error.error_description ?? error.message}`
  }
  if (answer instanceof URL) {
    response.writeHead(303, { Location: answer.href }).end()
  } else {
    response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' })
    response.end(`<main id="main">${answer.replaceAll('<', '&lt;')}</main>`)
  }
}).listen(new URL(ADDRESS).port, 'localhost')
