using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.SignalR;
using Microsoft.AspNetCore.SignalR.Protocol;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Diagnostics;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Npgsql;
using WebVm.Api.Audit;
using WebVm.Api.Conventions;
using WebVm.Api.Conventions.Description;
using WebVm.Api.Events;
using WebVm.Api.Identity;
using WebVm.Api.Metrics;
using WebVm.Api.Operations;
using WebVm.Api.Console;
using WebVm.Api.Hosts;
using WebVm.Api.Images;
using WebVm.Api.Persistence;
using WebVm.Api.Retention;
using WebVm.Api.Snapshots;
using WebVm.Api.Supervisor;
using WebVm.Api.Support;
using WebVm.Api.Vms;

namespace WebVm.Api.Hosting;

/// <summary>Composition of the service: what <c>Program</c> adds and maps.</summary>
public static class ServiceSetup
{
    private const long LargestBody = 1 << 20;

    // A restart of the database takes seconds; whoever asks meanwhile waits about as long, and is then told to come again.
    private const int MostRetries = 5;
    private static readonly TimeSpan LongestRetryDelay = TimeSpan.FromSeconds(2);

    // For requests under way and for what closes behind them, the database last.
    internal static readonly TimeSpan ClosingTime = TimeSpan.FromSeconds(30);

    public static void AddWebVm(this WebApplicationBuilder builder)
    {
        builder.Configuration.AddInMemoryCollection(Environment.GetEnvironmentVariables().Cast<System.Collections.DictionaryEntry>()
            .Where(variable => ((string)variable.Key).StartsWith(UnknownSettings.Prefix, StringComparison.Ordinal))
            .Select(variable => KeyValuePair.Create($"{ServiceOptions.Section}:{UnknownSettings.SettingOf((string)variable.Key)}", (string?)variable.Value)));
        builder.Services.AddOptions<ServiceOptions>().BindConfiguration(ServiceOptions.Section).ValidateDataAnnotations().ValidateOnStart();
        var options = Read(builder.Configuration);
        builder.Services.PostConfigure<ServiceOptions>(configured =>
            (configured.Data, configured.AdminToken, configured.Database, configured.DatabasePassword) = (options.Data, options.AdminToken, options.Database, options.DatabasePassword));
        builder.Services.AddSingleton(new SecretHint.Found(SecretFiles.TakeFromEnvironment()));
        builder.Services.AddHostedService<SecretHint>();
        builder.Services.AddHostedService<UnknownSettings>();
        builder.Services.AddSingleton(DataFolder.Claim(options.Data));
        // Images set their own bound; everything else is a few fields.
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Limits.MaxRequestBodySize = LargestBody);
        AddTls(builder, options);
        builder.WebHost.UseUrls(Addresses(options));

        var services = builder.Services;
        services.AddSingleton(TimeProvider.System);
        services.AddSingleton<Hurry>();
        services.Configure<HostOptions>(host => host.ShutdownTimeout = ClosingTime + (options.KeepRunning ? TimeSpan.Zero : TimeSpan.FromSeconds(options.StopDeadlineSeconds)));
        AddDatabase(services, options);
        AddIdentity(services, options);
        AddConventions(services);
        ForeignPages.Add(services, ForeignPages.Parse(options.CorsOrigins));

        services.AddHostedService<Housekeeper>();
        services.AddHostedService<SpareMemory>();
        services.AddSingleton<EventFeed>();
        services.AddHostedService(provider => provider.GetRequiredService<EventFeed>());
        services.AddSingleton<OperationRunner>();
        AddMachines(services, options);
        services.AddHostedService(provider => provider.GetRequiredService<OperationRunner>());
    }

    public static void UseWebVm(this WebApplication app)
    {
        if (TrustedProxies.Parse(app.Services.GetRequiredService<IOptions<ServiceOptions>>().Value.Proxies) is { } proxies)
        {
            app.UseForwardedHeaders(proxies);
        }

        app.UseHsts();
        app.UseMiddleware<AuditTrail>();
        app.UseExceptionHandler();
        // Whatever refuses a request with a bare status gives it the body, the type and the headers that all errors have.
        app.UseWhen(context => !context.WantsPage(), programs => programs.UseStatusCodePages());
        app.UseMiddleware<SecurityHeaders>();
        app.UseMiddleware<CompressedAnswers>();
        app.UseRouting();
        ForeignPages.Use(app, app.Services.GetRequiredService<AllowedOrigins>().Origins);
        // Who is behind a request is known before anything refuses it, for the trail.
        app.UseAuthentication();
        app.UseMiddleware<EndWithRight>();
        app.UseMiddleware<CrossSiteGuard>();
        app.UseIdempotency();
        app.UseAuthorization();
        app.UseConventions();
    }

    public static void MapWebVm(this WebApplication app)
    {
        var api = app.MapGroup("/api/v1").KeepConventions().ProducesProblem(StatusCodes.Status401Unauthorized).ProducesProblem(StatusCodes.Status403Forbidden);
        api.MapSession();
        api.MapAccount();
        api.MapUsers();
        api.MapTokens();
        api.MapAudit();
        api.MapEvents();
        api.MapOperations();
        api.MapVms();
        api.MapPower();
        api.MapEnlightenments();
        api.MapCrashes();
        api.MapSnapshots();
        api.MapSerial();
        api.MapConsole();
        api.MapMetrics();
        api.MapImages();
        api.MapHosts();
        api.MapSupport();
        // Pages have a catch-all; the API answers for itself.
        app.Map("/api/{**path}", (HttpContext context, UnmatchedRequest unmatched) => unmatched.Answer(context)).ExcludeFromDescription();
        app.MapSignInLink();
        app.MapHub<ConsoleHub>(ConsoleEndpoints.HubPath);
        app.MapHealth();
        app.MapPrometheus();
        app.MapOpenApi("/openapi/{documentName}.json").AllowAnonymous().AnswersHead();
    }

    private static string[] Addresses(ServiceOptions options) => options.Listen.Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);

    private static ServiceOptions Read(IConfiguration configuration)
    {
        try
        {
            var section = configuration.GetSection(ServiceOptions.Section);
            CheckChoice<IsolationDemand>(section[nameof(ServiceOptions.Isolation)], "WEBVM_ISOLATION");
            CheckChoice<MemoryOvercommit>(section[nameof(ServiceOptions.MemoryOvercommit)], "WEBVM_MEMORY_OVERCOMMIT");
            var options = section.Get<ServiceOptions>() ?? new ServiceOptions();
            options.Data = Path.GetFullPath(options.Data);
            Array.ForEach(Addresses(options), address => BindingAddress.Parse(address));
            TrustedProxies.Parse(options.Proxies);
            UserRange.Parse(options.MonitorUsers);
            SecretFiles.Read(options);
            ForeignPages.Parse(options.CorsOrigins);
            return options;
        }
        catch (Exception failure) when (failure is InvalidOperationException or ArgumentException or FormatException)
        {
            throw new StartException($"A setting cannot be read: {failure.Message}", failure);
        }
    }

    /// <summary>A configuration takes numbers and lists for an enumeration, which nothing here would know.</summary>
    private static void CheckChoice<T>(string? value, string variable)
        where T : struct, Enum
    {
        if (value is not null && !Enum.GetNames<T>().Contains(value, StringComparer.OrdinalIgnoreCase))
        {
            throw new StartException($"{variable} is '{value}', and must be one of {string.Join(", ", Enum.GetNames<T>()).ToLowerInvariant()}.");
        }
    }

    private static void AddTls(WebApplicationBuilder builder, ServiceOptions options)
    {
        if (!Addresses(options).Any(address => BindingAddress.Parse(address).Scheme == Uri.UriSchemeHttps))
        {
            return;
        }

        if (options.Certificate is not { Length: > 0 } file)
        {
            throw new StartException("WEBVM_LISTEN names an https address, and WEBVM_CERTIFICATE no certificate for it.");
        }

        var certificate = new ServerCertificate(file, options.CertificateKey, TimeProvider.System);
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            certificate.Log = kestrel.ApplicationServices.GetRequiredService<ILogger<ServerCertificate>>();
            kestrel.ConfigureHttpsDefaults(certificate.Configure);
        });
    }

    private static void AddDatabase(IServiceCollection services, ServiceOptions options)
    {
        services.AddSingleton(provider =>
        {
            if (options.Database is { Length: > 0 } connectionString)
            {
                return DatabaseAddress.Of(connectionString, options.DatabasePassword);
            }

            var cluster = new PrivateCluster(Path.Combine(options.Data, "postgres"), options.PostgresPrograms, provider.GetRequiredService<ILogger<PrivateCluster>>());
            return new DatabaseAddress(cluster.ConnectionString, cluster);
        });
        services.AddSingleton<DatabaseOutage>();
        services.AddSingleton<DatabaseLog>();
        services.AddDbContextFactory<WebVmDbContext>((provider, database) => database
            .UseNpgsql(provider.GetRequiredService<DatabaseAddress>().ConnectionString, npgsql => npgsql.EnableRetryOnFailure(MostRetries, LongestRetryDelay, [PostgresErrorCodes.AdminShutdown, PostgresErrorCodes.CannotConnectNow]))
            .AddInterceptors(provider.GetRequiredService<DatabaseLog>())
            .ConfigureWarnings(warnings => warnings.Log((RelationalEventId.CommandError, LogLevel.Debug), (RelationalEventId.ConnectionError, LogLevel.Debug), (CoreEventId.ExecutionStrategyRetrying, LogLevel.Debug), (CoreEventId.SaveChangesFailed, LogLevel.Debug), (CoreEventId.QueryIterationFailed, LogLevel.Debug))));
        services.AddHostedService<DatabaseStart>();
        services.AddHostedService<MachinesLock>();
        services.AddHostedService<FirstUser>();
    }

    private static void AddIdentity(IServiceCollection services, ServiceOptions options)
    {
        services.AddDataProtection().PersistKeysToFileSystem(new DirectoryInfo(options.KeysFolder)).SetApplicationName("webvm");
        services.AddSingleton<SignInLinks>();
        services.AddSingleton<GuessLimits>();
        services.AddSingleton<DeviceCookies>();
        services.AddSingleton<StreamLimits>();
        services.AddSingleton<StandingRights>();
        services.AddSingleton<LiveRights>();
        services.AddHostedService(provider => provider.GetRequiredService<LiveRights>());
        services.AddSingleton<ConsoleTickets>();
        services.AddAuthentication("Any")
            .AddPolicyScheme("Any", null, scheme => scheme.ForwardDefaultSelector = context =>
                context.Request.Headers.Authorization.Count > 0 || (context.Request.Path.StartsWithSegments("/hubs") && context.Request.Query.ContainsKey("access_token"))
                    ? TokenAuthentication.SchemeName
                    : CookieSession.SchemeName)
            .AddScheme<AuthenticationSchemeOptions, TokenAuthentication>(TokenAuthentication.SchemeName, null)
            .AddCookie(CookieSession.SchemeName, CookieSession.Configure);
        services.AddAuthorization(authorization => authorization.AddScopePolicies());
    }

    private static void AddMachines(IServiceCollection services, ServiceOptions options)
    {
        services.AddHttpClient(ImageImport.ClientName, client => client.Timeout = Timeout.InfiniteTimeSpan)
            .ConfigurePrimaryHttpMessageHandler(() => ImportConnections.CreateHandler(options.ImportFromPrivateNetworks ? _ => true : ImportConnections.IsPublic));
        services.AddSingleton<ImageStore>();
        services.AddSingleton<ImageHashing>();
        services.AddSingleton<ImageVerification>();
        services.AddHostedService<Catalogue>();
        services.AddSingleton<VmFiles>();
        services.AddHostedService<OlderFolders>();
        services.AddSingleton<HostPaths>();
        services.AddSingleton<SpecWriter>();
        services.AddSingleton<MonitorIsolation>();
        services.AddHostedService(provider => provider.GetRequiredService<MonitorIsolation>());
        services.AddSingleton<MonitorUsers>();
        services.AddSingleton<ControlGroups>();
        services.AddSingleton<MonitorLauncher>();
        services.AddSingleton<MemoryBudget>();
        services.AddSingleton<VmAgentServices>();
        services.AddSingleton<VmWaiter>();
        services.AddScoped<VmCommands>();
        services.AddSingleton<VmSupervisor>();
        services.AddHostedService(provider => provider.GetRequiredService<VmSupervisor>());
        services.AddHostedService<RestingVms>();
        services.AddHostedService<AbandonedRuns>();
        services.AddSingleton<LocalHost>();
        services.AddSingleton<RecentLog>();
        services.AddSingleton<ILoggerProvider>(provider => provider.GetRequiredService<RecentLog>());
        services.AddSingleton<SupportBundle>();
        services.AddSingleton<ConsoleRooms>();
        services.AddSingleton<SerialAttention>();
        services.AddSignalR(signalR =>
        {
            signalR.MaximumReceiveMessageSize = 256 * 1024;
            signalR.EnableDetailedErrors = false;
        }).AddHubOptions<ConsoleHub>(console =>
        {
            console.SupportedProtocols = [ConsoleProtocol.ProtocolName];
            console.AddFilter<HubFailures>();
        });
        services.AddSingleton<HubFailures>();
        services.AddLogging(logging => logging.AddFilter(HubFailures.Replaced, LogLevel.None));
        services.AddSingleton<IHubProtocol, ConsoleProtocol>();
        services.AddSingleton<HubConnections<ConsoleHub>>();
        services.AddSingleton<HubLifetimeManager<ConsoleHub>>(provider => provider.GetRequiredService<HubConnections<ConsoleHub>>());
        services.AddSingleton<MetricsSampler>();
        services.AddHostedService(provider => provider.GetRequiredService<MetricsSampler>());
        services.AddSingleton<IOperationHandler, PowerTransition>();
        services.AddSingleton<IOperationHandler, VmDeletion>();
        services.AddSingleton<IOperationHandler, SnapshotCreation>();
        services.AddSingleton<IOperationHandler, SnapshotRestoration>();
        services.AddSingleton<IOperationHandler, ImageImport>();
        services.AddSingleton<IOperationHandler>(provider => provider.GetRequiredService<ImageVerification>());
    }

    private static void AddConventions(IServiceCollection services)
    {
        CompressedAnswers.Add(services);
        services.AddProblemDetails(problems => problems.CustomizeProblemDetails = Problems.Complete);
        services.AddSingleton<UnmatchedRequest>();
        services.AddExceptionHandler<UnreadableRequest>();
        services.Configure<RouteHandlerOptions>(routes => routes.ThrowOnBadRequest = true);
        services.ConfigureHttpJsonOptions(json => ApiJson.Configure(json.SerializerOptions));
        services.AddOpenApi("v1", openApi =>
        {
            openApi.OpenApiVersion = Microsoft.OpenApi.OpenApiSpecVersion.OpenApi3_1;
            openApi.AddOperationTransformer<DescribedOperation>();
            openApi.AddDocumentTransformer<DescribedApi>();
        });
        services.AddHealthChecks().AddCheck<DatabaseHealth>("database");
        services.Configure<FormOptions>(form => form.ValueLengthLimit = 1 << 20);
    }
}
