using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using WebVm.Api.Audit;
using WebVm.Api.Console;
using WebVm.Api.Conventions;
using WebVm.Api.Events;
using WebVm.Api.Hosts;
using WebVm.Api.Idempotency;
using WebVm.Api.Identity;
using WebVm.Api.Images;
using WebVm.Api.Metrics;
using WebVm.Api.Operations;
using WebVm.Api.Persistence;
using WebVm.Api.Retention;
using WebVm.Api.Runs;
using WebVm.Api.Settings;
using WebVm.Api.Snapshots;
using WebVm.Api.Support;
using WebVm.Api.Vms;

namespace WebVm.Api.Hosting;

/// <summary>Composition of the service: what <c>Program</c> adds and maps.</summary>
public static class ServiceSetup
{
    private const long LargestBody = 1 << 20;

    // For requests under way and for what closes behind them, the database last.
    internal static readonly TimeSpan ClosingTime = TimeSpan.FromSeconds(30);

    public static void AddWebVm(this WebApplicationBuilder builder)
    {
        builder.Configuration.AddInMemoryCollection(Environment.GetEnvironmentVariables().Cast<System.Collections.DictionaryEntry>()
            // An empty one is no setting, as in a file of them that is only half filled in.
            .Where(variable => ((string)variable.Key).StartsWith(UnknownSettings.Prefix, StringComparison.Ordinal)
                && variable.Value is string { Length: > 0 })
            .Select(variable => KeyValuePair.Create(
                $"{ServiceOptions.Section}:{UnknownSettings.SettingOf((string)variable.Key)}", (string?)variable.Value)));
        builder.Services.AddOptions<ServiceOptions>().BindConfiguration(ServiceOptions.Section).ValidateDataAnnotations().ValidateOnStart();
        var options = Read(builder.Configuration);
        builder.Services.PostConfigure<ServiceOptions>(configured =>
            (configured.Data, configured.AdminToken, configured.Database,
                configured.DatabasePassword) = (options.Data, options.AdminToken, options.Database, options.DatabasePassword));
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
        services.Configure<HostOptions>(
            host => host.ShutdownTimeout = ClosingTime
                + (options.KeepRunning ? TimeSpan.Zero : TimeSpan.FromSeconds(options.StopDeadlineSeconds)));
        services.AddSingleton<HostPaths>();
        ForeignPages.Add(services, ForeignPages.Parse(options.CorsOrigins));
        CompressedAnswers.Add(services);
        services.AddExceptionHandler<UnreadableRequest>();
        services.AddHealthChecks().AddCheck<DatabaseHealth>("database");
        services.AddConventions();

        // What works in the background begins in this order, and ends in the opposite one: operations come when all is there that they work
        // with.
        services.AddPersistence(options);
        services.AddIdentity(options);
        services.AddHostedService<Housekeeper>();
        services.AddHostedService<SpareMemory>();
        services.AddEvents();
        services.AddImages(options);
        services.AddRuns();
        services.AddVms();
        services.AddSnapshots();
        services.AddConsole();
        services.AddMachineMetrics();
        services.AddSingleton<LocalHost>();
        services.AddSupport();
        services.AddOperations();
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
        var api = app.MapGroup("/api/v1").AnswerByKey().KeepConventions().ProducesProblem(StatusCodes.Status401Unauthorized)
            .ProducesProblem(StatusCodes.Status403Forbidden);
        api.MapIdentity();
        api.MapAudit();
        api.MapEvents();
        api.MapOperations();
        api.MapMachines();
        api.MapSnapshots();
        api.MapConsoles();
        api.MapMetrics();
        api.MapImages();
        api.MapHosts();
        api.MapSupport();
        // Pages have a catch-all; the API answers for itself.
        app.Map("/api/{**path}", (HttpContext context, UnmatchedRequest unmatched) => unmatched.Answer(context)).ExcludeFromDescription();
        app.MapSignInLink();
        app.MapConsoleHub();
        app.MapHealth();
        app.MapPrometheus();
        app.MapOpenApi("/openapi/{documentName}.json").AllowAnonymous().AnswersHead();
    }

    private static string[] Addresses(ServiceOptions options) =>
        options.Listen.Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);

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
            throw new StartException(
                $"{variable} is '{value}', and must be one of {string.Join(", ", Enum.GetNames<T>()).ToLowerInvariant()}.");
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
}
