// The token: from the address' fragment (which never reaches a server or its log) or typed in; kept for this tab only.
const KEY = 'porchlight-token';
let token = '';
try {
  token = sessionStorage.getItem(KEY) ?? '';
} catch { /* a sandboxed frame has no storage; then the token lasts as long as the page */ }

export function remember(given) {
  token = given;
  try {
    sessionStorage.setItem(KEY, given);
  } catch { /* as above */ }
}

/** Take `#token=…` out of the address, where it could be read over a shoulder. True if there was one. */
export function takeTokenFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (!given) return false;
  remember(given);
  history.replaceState(null, '', location.pathname + location.search);
  return true;
}

export const hasToken = () => token !== '';

export const authorization = () => (token ? { Authorization: `Bearer ${token}` } : {});

export function socketAddress(camera) {
  const address = new URL(`cameras/${encodeURIComponent(camera)}/ws`, document.baseURI);
  address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
  if (token) address.searchParams.set('token', token);
  return address.href;
}
