import { loadEnv } from "vite";
import { defineConfig } from "vitest/config";

// `npm run dev` needs a running dashboard for the API; name another one with FLEETCELL_URL.
const api = loadEnv("development", ".", "FLEETCELL_")["FLEETCELL_URL"] ?? "http://127.0.0.1:8080";

export default defineConfig({
  base: "./", // relative, so the page also works below a path of a reverse proxy
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "../static",
    emptyOutDir: true,
    target: "es2022",
    // MapLibre alone is 1.1 MB and is the map; a warning at each build would tell nothing new.
    chunkSizeWarningLimit: 1500,
    license: { fileName: "licenses.md" }, // of what is bundled: their terms ask for it
    assetsInlineLimit: 0, // the page's Content-Security-Policy allows files of this server, not inlined ones
  },
  server: {
    proxy: {
      "/api": { target: api, ws: true },
      "/sign-in": { target: api },
    },
  },
  test: { include: ["tests/**/*.test.ts"] },
});
