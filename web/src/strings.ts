// Every text of the page in every language it speaks, by key. `{n}` and the like are filled in
// by text.ts; texts that depend on a number have one form for one and one for the rest.

export interface Counted {
  one: string;
  other: string;
}

export interface Strings {
  connecting: string;
  live: string;
  reconnecting: string;
  strapsConnected: Counted;
  sinksWaiting: Counted;
  silent: string;
  silentTitle: string;
  silentHint: string;
  idleTitle: string;
  idleHints: readonly [wet: string, apps: string, near: string];
  noContact: string;
  linkLost: string;
  heartRates: string;
  strap: string;
  points: Counted;
  sayBpm: string;
  sayNoBpm: string;
  sayZone: string;
  sayPlace: string;
  sayPercent: string;
  sayBattery: string;
  sayAge: Counted;
}

export const STRINGS = {
  en: {
    connecting: "connecting…",
    live: "live",
    reconnecting: "reconnecting…",
    strapsConnected: { one: "{n} strap connected", other: "{n} straps connected" },
    sinksWaiting: {
      one: "{n} destination waiting — readings are kept",
      other: "{n} destinations waiting — readings are kept",
    },
    silent: "no data from the box for {n} s",
    silentTitle: "No data from the box",
    silentHint: "Check that it has power and network. This page comes back by itself.",
    idleTitle: "Put on your strap",
    idleHints: ["Wet the electrodes", "Close other heart-rate apps on your phone", "Stand near the box"],
    noContact: "no contact",
    linkLost: "no signal",
    heartRates: "Heart rates",
    strap: "strap {id}",
    points: { one: "{n} point", other: "{n} points" },
    sayBpm: "{n} beats per minute",
    sayNoBpm: "no heart rate",
    sayZone: "zone {n}",
    sayPlace: "place {n}",
    sayPercent: "{p} of maximum",
    sayBattery: "battery low, {p}",
    sayAge: { one: "last reading {n} second ago", other: "last reading {n} seconds ago" },
  },
  de: {
    connecting: "verbinde …",
    live: "live",
    reconnecting: "verbinde neu …",
    strapsConnected: { one: "{n} Gurt verbunden", other: "{n} Gurte verbunden" },
    sinksWaiting: {
      one: "{n} Ziel wartet – Messwerte bleiben erhalten",
      other: "{n} Ziele warten – Messwerte bleiben erhalten",
    },
    silent: "keine Daten vom Empfänger seit {n} s",
    silentTitle: "Keine Daten vom Empfänger",
    silentHint: "Hat er Strom und Netzwerk? Diese Seite meldet sich von selbst zurück.",
    idleTitle: "Leg deinen Gurt an",
    idleHints: ["Elektroden anfeuchten", "Andere Puls-Apps auf dem Handy schließen", "Nah an den Empfänger kommen"],
    noContact: "kein Kontakt",
    linkLost: "kein Signal",
    heartRates: "Herzfrequenzen",
    strap: "Gurt {id}",
    points: { one: "{n} Punkt", other: "{n} Punkte" },
    sayBpm: "{n} Schläge pro Minute",
    sayNoBpm: "keine Herzfrequenz",
    sayZone: "Zone {n}",
    sayPlace: "Platz {n}",
    sayPercent: "{p} vom Maximum",
    sayBattery: "Batterie schwach, {p}",
    sayAge: { one: "letzter Messwert vor {n} Sekunde", other: "letzter Messwert vor {n} Sekunden" },
  },
  fr: {
    connecting: "connexion…",
    live: "en direct",
    reconnecting: "reconnexion…",
    strapsConnected: { one: "{n} ceinture connectée", other: "{n} ceintures connectées" },
    sinksWaiting: {
      one: "{n} destination en attente — les mesures sont conservées",
      other: "{n} destinations en attente — les mesures sont conservées",
    },
    silent: "aucune donnée du boîtier depuis {n} s",
    silentTitle: "Aucune donnée du boîtier",
    silentHint: "Vérifiez son alimentation et son réseau. Cette page revient toute seule.",
    idleTitle: "Mettez votre ceinture",
    idleHints: ["Humidifiez les électrodes", "Fermez les autres applis cardio du téléphone", "Restez près du boîtier"],
    noContact: "pas de contact",
    linkLost: "pas de signal",
    heartRates: "Fréquences cardiaques",
    strap: "ceinture {id}",
    points: { one: "{n} point", other: "{n} points" },
    sayBpm: "{n} battements par minute",
    sayNoBpm: "pas de fréquence cardiaque",
    sayZone: "zone {n}",
    sayPlace: "place {n}",
    sayPercent: "{p} du maximum",
    sayBattery: "batterie faible, {p}",
    sayAge: { one: "dernière mesure il y a {n} seconde", other: "dernière mesure il y a {n} secondes" },
  },
  es: {
    connecting: "conectando…",
    live: "en directo",
    reconnecting: "reconectando…",
    strapsConnected: { one: "{n} banda conectada", other: "{n} bandas conectadas" },
    sinksWaiting: {
      one: "{n} destino en espera — las lecturas se conservan",
      other: "{n} destinos en espera — las lecturas se conservan",
    },
    silent: "sin datos del receptor desde hace {n} s",
    silentTitle: "Sin datos del receptor",
    silentHint: "Comprueba que tiene corriente y red. Esta página vuelve sola.",
    idleTitle: "Ponte la banda",
    idleHints: ["Humedece los electrodos", "Cierra otras apps de pulso en el móvil", "Acércate al receptor"],
    noContact: "sin contacto",
    linkLost: "sin señal",
    heartRates: "Frecuencias cardíacas",
    strap: "banda {id}",
    points: { one: "{n} punto", other: "{n} puntos" },
    sayBpm: "{n} latidos por minuto",
    sayNoBpm: "sin frecuencia cardíaca",
    sayZone: "zona {n}",
    sayPlace: "puesto {n}",
    sayPercent: "{p} del máximo",
    sayBattery: "batería baja, {p}",
    sayAge: { one: "última lectura hace {n} segundo", other: "última lectura hace {n} segundos" },
  },
  fi: {
    connecting: "yhdistetään…",
    live: "suorana",
    reconnecting: "yhdistetään uudelleen…",
    strapsConnected: { one: "{n} vyö yhdistetty", other: "{n} vyötä yhdistetty" },
    sinksWaiting: {
      one: "{n} kohde odottaa – mittaukset säilyvät",
      other: "{n} kohdetta odottaa – mittaukset säilyvät",
    },
    silent: "viimeiset tiedot vastaanottimelta {n} s sitten",
    silentTitle: "Vastaanottimelta ei tule tietoja",
    silentHint: "Tarkista virta ja verkko. Sivu palaa itsestään.",
    idleTitle: "Pue sykevyö",
    idleHints: ["Kostuta elektrodit", "Sulje puhelimen muut sykesovellukset", "Tule lähelle vastaanotinta"],
    noContact: "ei kontaktia",
    linkLost: "ei signaalia",
    heartRates: "Sykkeet",
    strap: "vyö {id}",
    points: { one: "{n} piste", other: "{n} pistettä" },
    sayBpm: "{n} lyöntiä minuutissa",
    sayNoBpm: "ei syketietoa",
    sayZone: "alue {n}",
    sayPlace: "sija {n}",
    sayPercent: "{p} maksimista",
    sayBattery: "paristo vähissä, {p}",
    sayAge: { one: "viimeisin mittaus {n} sekunti sitten", other: "viimeisin mittaus {n} sekuntia sitten" },
  },
} satisfies Record<string, Strings>;

export type Language = keyof typeof STRINGS;
