# Each step is an npm command, so that it can be run, and is tested, where there is no container engine too.

FROM node:24.21-trixie-slim AS base
WORKDIR /app
COPY package.json package-lock.json ./

FROM base AS build
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY gen ./gen
COPY src ./src
RUN npm run build

FROM base AS dependencies
RUN npm run install:production

FROM base
ENV NODE_ENV=production HOST=0.0.0.0
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
# The image's user `node`; as a number, since Kubernetes' runAsNonRoot understands no other.
USER 1000:1000
EXPOSE 50051 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["node", "dist/src/cli.js", "health"]
ENTRYPOINT ["node", "dist/src/cli.js"]
CMD ["serve"]
