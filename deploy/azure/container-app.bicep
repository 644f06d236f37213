// Workers as a Container App, with a Redis that the same identity logs in to: no secret anywhere.
//
//     az deployment group create --resource-group bulkrsvp --template-file deploy/azure/container-app.bicep \
//       --parameters image=contoso.azurecr.io/bulkrsvp:0.1.0 registry=contoso.azurecr.io
//
// Afterwards the identity needs Calendars.ReadWrite, and AcrPull on the registry.

targetScope = 'resourceGroup'

@description('The image, with its tag.')
param image string

@description('The registry that the identity may pull it from.')
param registry string

@description('Where everything is.')
param location string = resourceGroup().location

@description('Names begin with it.')
param name string = 'bulkrsvp'

@description('Never none: somebody must notice deadlines and what dead workers have left.')
@minValue(1)
param minReplicas int = 2

@description('More workers do not make one mailbox faster.')
param maxReplicas int = 6

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: name
  location: location
}

resource redis 'Microsoft.Cache/redisEnterprise@2025-04-01' = {
  name: '${name}-${uniqueString(resourceGroup().id)}'
  location: location
  sku: {
    name: 'Balanced_B1'
  }
  properties: {
    minimumTlsVersion: '1.2'
    highAvailability: 'Enabled'
  }
}

resource database 'Microsoft.Cache/redisEnterprise/databases@2025-04-01' = {
  parent: redis
  name: 'default'
  properties: {
    clientProtocol: 'Encrypted'
    port: 10000
    // The ledger's scripts touch several keys at once.
    clusteringPolicy: 'NoCluster'
    // Redis must not drop a mark to make room.
    evictionPolicy: 'NoEviction'
    accessKeysAuthentication: 'Disabled'
    persistence: {
      aofEnabled: true
      aofFrequency: '1s'
    }
  }
}

resource access 'Microsoft.Cache/redisEnterprise/databases/accessPolicyAssignments@2025-04-01' = {
  parent: database
  name: 'worker'
  properties: {
    accessPolicyName: 'default'
    user: {
      objectId: identity.properties.principalId
    }
  }
}

resource logs 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: name
  location: location
  properties: {
    retentionInDays: 30
    sku: {
      name: 'PerGB2018'
    }
  }
}

resource environment 'Microsoft.App/managedEnvironments@2024-03-01' = {
  name: name
  location: location
  properties: {
    appLogsConfiguration: {
      destination: 'log-analytics'
      logAnalyticsConfiguration: {
        customerId: logs.properties.customerId
        sharedKey: logs.listKeys().primarySharedKey
      }
    }
  }
}

resource worker 'Microsoft.App/containerApps@2024-03-01' = {
  name: '${name}-worker'
  location: location
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  dependsOn: [access]
  properties: {
    environmentId: environment.id
    configuration: {
      activeRevisionsMode: 'Single'
      registries: [
        {
          server: registry
          identity: identity.id
        }
      ]
    }
    template: {
      // Longer than BULKRSVP_DRAIN_S.
      terminationGracePeriodSeconds: 90
      containers: [
        {
          name: 'worker'
          image: image
          args: ['worker']
          resources: {
            cpu: json('0.5')
            memory: '1Gi'
          }
          env: [
            {
              name: 'REDIS_URL'
              value: 'rediss://${redis.properties.hostName}:${database.properties.port}/0?credentials=entra'
            }
            {
              name: 'AZURE_TOKEN_CREDENTIALS'
              value: 'ManagedIdentityCredential'
            }
            {
              name: 'AZURE_CLIENT_ID'
              value: identity.properties.clientId
            }
            {
              name: 'BULKRSVP_LOG_FORMAT'
              value: 'json'
            }
          ]
        }
      ]
      // A worker is one process on one core: more of them when that is busy.
      scale: {
        minReplicas: minReplicas
        maxReplicas: maxReplicas
        rules: [
          {
            name: 'cpu'
            custom: {
              type: 'cpu'
              metadata: {
                type: 'Utilization'
                value: '70'
              }
            }
          }
        ]
      }
    }
  }
}

output identityPrincipalId string = identity.properties.principalId
output identityClientId string = identity.properties.clientId
