// Workers as a Container App, with a Redis that the same identity logs in to: no secret anywhere.
//
//     az deployment group create --resource-group bulkrsvp --template-file deploy/azure/container-app.bicep \
//       --parameters registry=contoso.azurecr.io digest=sha256:...
//
// Afterwards the identity needs Calendars.ReadWrite, and AcrPull on the registry. Redis has no public address:
// commands are run in the network that is made here, or in one that is peered with it.

targetScope = 'resourceGroup'

@description('The registry that the identity may pull the image from.')
param registry string

@description('The name of the image there.')
param repository string = 'bulkrsvp'

@description('The digest of the image, sha256:..., since a tag can be moved to another one.')
@minLength(71)
@maxLength(71)
param digest string

@description('Where everything is.')
param location string = resourceGroup().location

@description('Names begin with it.')
param name string = 'bulkrsvp'

@description('Never none: somebody must notice deadlines and what dead workers have left.')
@minValue(1)
param minReplicas int = 2

@description('More workers do not make one mailbox faster.')
param maxReplicas int = 6

@description('The addresses of the network of workers and Redis, at least a /25.')
param addresses string = '10.90.0.0/24'

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: name
  location: location
}

resource redis 'Microsoft.Cache/redisEnterprise@2025-07-01' = {
  name: '${name}-${uniqueString(resourceGroup().id)}'
  location: location
  sku: {
    name: 'Balanced_B1'
  }
  properties: {
    minimumTlsVersion: '1.2'
    highAvailability: 'Enabled'
    publicNetworkAccess: 'Disabled'
  }
}

resource database 'Microsoft.Cache/redisEnterprise/databases@2025-07-01' = {
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

resource access 'Microsoft.Cache/redisEnterprise/databases/accessPolicyAssignments@2025-07-01' = {
  parent: database
  name: 'worker'
  properties: {
    accessPolicyName: 'default'
    user: {
      objectId: identity.properties.principalId
    }
  }
}

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: name
  location: location
  properties: {
    addressSpace: {
      addressPrefixes: [addresses]
    }
    subnets: [
      {
        name: 'workers'
        properties: {
          addressPrefix: cidrSubnet(addresses, 26, 0)
          delegations: [
            {
              name: 'workers'
              properties: {
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
        }
      }
      {
        name: 'redis'
        properties: {
          addressPrefix: cidrSubnet(addresses, 26, 1)
        }
      }
    ]
  }

  resource workers 'subnets' existing = {
    name: 'workers'
  }

  resource redis 'subnets' existing = {
    name: 'redis'
  }
}

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = {
  name: '${name}-redis'
  location: location
  properties: {
    subnet: {
      id: network::redis.id
    }
    privateLinkServiceConnections: [
      {
        name: 'redis'
        properties: {
          privateLinkServiceId: redis.id
          groupIds: ['redisEnterprise']
        }
      }
    ]
  }
}

// The name of the Redis leads to the endpoint, in this network only.
resource zone 'Microsoft.Network/privateDnsZones@2020-06-01' = {
  name: 'privatelink.redis.azure.net'
  location: 'global'

  resource link 'virtualNetworkLinks' = {
    name: name
    location: 'global'
    properties: {
      registrationEnabled: false
      virtualNetwork: {
        id: network.id
      }
    }
  }
}

resource names 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = {
  parent: endpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: 'redis'
        properties: {
          privateDnsZoneId: zone.id
        }
      }
    ]
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
    vnetConfiguration: {
      infrastructureSubnetId: network::workers.id
      // Nobody calls a worker.
      internal: true
    }
    workloadProfiles: [
      {
        name: 'Consumption'
        workloadProfileType: 'Consumption'
      }
    ]
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
  dependsOn: [access, names, zone::link]
  properties: {
    environmentId: environment.id
    workloadProfileName: 'Consumption'
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
          image: '${registry}/${repository}@${digest}'
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
