/** Where the page is: the address, also in the forms that stand in old messages. */

export interface Place {
  view: 'overview' | 'explore';
  /** Matchers to show alerts by. */
  filter: string;
  /** Matchers of a silence to be made, or null. */
  silence: string | null;
  expr: string;
}

function read(): Place {
  const query = new URLSearchParams(location.search);
  const place: Place = { view: 'overview', filter: query.get('filter') ?? '', silence: query.get('silence'), expr: '' };
  if (location.pathname === '/graph' || location.pathname === '/query') {
    place.view = 'explore';
    place.expr = query.get('g0.expr') ?? '';
  }
  // Alertmanager's links: `/#/alerts?filter={…}&receiver=…`, `/#/silences/new?filter={…}`.
  const [path = '', rest = ''] = location.hash.replace(/^#/, '').split('?');
  const inside = new URLSearchParams(rest);
  if (path.startsWith('/alerts')) place.filter = inside.get('filter') ?? '';
  if (path.startsWith('/silences/new')) place.silence = inside.get('filter') ?? '';
  return place;
}

class Where {
  place = $state<Place>(read());

  go(url: string): void {
    history.pushState(null, '', url);
    this.place = read();
  }

  /** Follows the address until the returned function is called. */
  start(): () => void {
    const changed = () => (this.place = read());
    addEventListener('popstate', changed);
    addEventListener('hashchange', changed);
    return () => {
      removeEventListener('popstate', changed);
      removeEventListener('hashchange', changed);
    };
  }
}

export const where = new Where();
