using System.Diagnostics;
using System.Globalization;
using System.IO.Compression;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;
using Npgsql;
using WebVm.Api.Conventions;
using WebVm.Api.Hosts;
using WebVm.Api.Persistence;
using WebVm.Api.Settings;
using WebVm.Api.Runs;

namespace WebVm.Api.Support;

/// <summary>
/// What somebody who is to help wants to see: versions, what the host has and lacks, settings, ends of logs, what happened. Nothing that
/// opens anything is in it (<see cref="Redaction"/>), and nothing of the guests: neither what they print nor their kernels' command lines.
/// </summary>
internal sealed class SupportBundle(
    IDbContextFactory<WebVmDbContext> databases, DatabaseAddress address, LocalHost host, VmFiles files, RecentLog log,
    IOptions<ServiceOptions> options, TimeProvider time)
{
    private const int Events = 1000;
    private const int Operations = 200;
    private const int MostVms = 1000;
    private const int MostRuns = 100;
    private const int EndBytes = 64 * 1024;
    private static readonly TimeSpan DoctorPatience = TimeSpan.FromSeconds(20);

    private const string About =
        """
        What is here: versions.txt; doctor.txt (what the host has and lacks); host.json (what it offers, measured, and its load); settings.txt; vms.jsonl,
        events.jsonl, operations.jsonl (the newest); service.log, postgresql.log and monitors/ (their ends). A part that could not be had says why.
        What is not: passwords, tokens, keys, links to sign in, what guests print or show, and their command lines. Names of machines and people are here.
        """;

    public string FileName => $"webvm-support-{time.GetUtcNow().ToString("yyyyMMdd-HHmmss", CultureInfo.InvariantCulture)}.zip";

    public async Task WriteAsync(Stream output, CancellationToken cancellation)
    {
        string? password = new NpgsqlConnectionStringBuilder(address.ConnectionString).Password;
        var redaction = new Redaction(options.Value.AdminToken, password);
        await using var zip = await ZipArchive.CreateAsync(output, ZipArchiveMode.Create, leaveOpen: true, Encoding.UTF8, cancellation);
        await AddAsync("README.txt", () => Task.FromResult(About));
        await AddAsync("versions.txt", () => VersionsAsync(cancellation));
        await AddAsync("doctor.txt", () => DoctorAsync(cancellation));
        await AddAsync("host.json", async () => JsonSerializer.Serialize(await host.ReadAsync(cancellation), ApiJson.Options));
        await AddAsync("settings.txt", () => Task.FromResult(Settings()));
        await AddAsync("vms.jsonl", () => VmsAsync(cancellation));
        await AddAsync("events.jsonl", () => EventsAsync(cancellation));
        await AddAsync("operations.jsonl", () => OperationsAsync(cancellation));
        await AddAsync("service.log", () => Task.FromResult(string.Join('\n', log.Lines)));
        if (address.Cluster is not null)
        {
            await AddAsync(
                "postgresql.log", () => Task.FromResult(
                    EndOfFile.Read(Path.Combine(options.Value.Data, "postgres", "postgresql.log"), EndBytes) ?? "There is no log."));
        }

        foreach (string run in files.Runs().Take(MostRuns))
        {
            await AddAsync(
                $"monitors/{run}.log", () => Task.FromResult(EndOfFile.Read(files.Run(run).Log, EndBytes) ?? "There is no log."));
        }

        async Task AddAsync(string name, Func<Task<string>> read)
        {
            string text;
            try
            {
                text = redaction.Apply(await read());
            }
            catch (Exception failure) when (failure is not OperationCanceledException)
            {
                // A bundle is asked for when something does not work: what is left of it is what helps.
                text = redaction.Apply($"This part could not be had: {failure.Message}");
            }

            await using var entry = await zip.CreateEntry(name).OpenAsync(cancellation);
            await entry.WriteAsync(Encoding.UTF8.GetBytes(text), cancellation);
        }
    }

    private async Task<string> VersionsAsync(CancellationToken cancellation)
    {
        string version = typeof(SupportBundle).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion
            ?? "unknown";
        string text =
            $"WebVm {version}\n.NET {Environment.Version}\n{RuntimeInformation.OSDescription}, {RuntimeInformation.ProcessArchitecture}\nStarted {Process.GetCurrentProcess().StartTime.ToUniversalTime():O}\n";
        await using var database = await databases.CreateDbContextAsync(cancellation);
        string postgres = await database.Database.SqlQuery<string>($"""SELECT version() AS "Value" """).SingleAsync(cancellation);
        return $"{text}{postgres}\nMigrations: {string.Join(", ", await database.Database.GetAppliedMigrationsAsync(cancellation))}\n";
    }

    /// <summary>
    /// The checkout that the service was started from says what its host has and lacks; what was published has no such script.
    /// </summary>
    private static async Task<string> DoctorAsync(CancellationToken cancellation)
    {
        if (Environment.GetEnvironmentVariable("WEBVM_ROOT") is not { Length: > 0 } root || !File.Exists(Path.Combine(root, "webvm")))
        {
            return "The service was not started by ./webvm run, so there is no doctor beside it. host.json has what was measured.";
        }

        using var doctor = Process.Start(
            new ProcessStartInfo(
                Path.Combine(
                    root, "webvm"), ["doctor"]) { RedirectStandardOutput = true, RedirectStandardError = true,
                        RedirectStandardInput = true })!;
        doctor.StandardInput.Close();
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        patience.CancelAfter(DoctorPatience);
        try
        {
            var errors = doctor.StandardError.ReadToEndAsync(patience.Token);
            return await doctor.StandardOutput.ReadToEndAsync(patience.Token) + await errors;
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            doctor.Kill(entireProcessTree: true);
            return "doctor did not end in time.";
        }
    }

    private string Settings()
    {
        var settings = options.Value;
        var text = new StringBuilder();
        foreach (var property in typeof(ServiceOptions).GetProperties().Where(property => property.CanWrite)
            .OrderBy(property => property.Name, StringComparer.Ordinal))
        {
            object? value = property.GetValue(settings);
            text.AppendLine(property.Name switch
            {
                nameof(ServiceOptions.AdminToken) => value is null ? "AdminToken is not given" : "AdminToken is given",
                nameof(ServiceOptions.DatabasePassword) => value is null ? "DatabasePassword is not given" : "DatabasePassword is given",
                nameof(ServiceOptions.Database) =>
                    string.IsNullOrEmpty((string?)value) ? "Database is a private cluster" : "Database is given",
                _ => string.Create(CultureInfo.InvariantCulture, $"{property.Name}: {value ?? "none"}"),
            });
        }

        return text.ToString();
    }

    private async Task<string> VmsAsync(CancellationToken cancellation)
    {
        await using var database = await databases.CreateDbContextAsync(cancellation);
        var vms = await database.Vms.AsNoTracking().OrderBy(vm => vm.Id).Take(MostVms)
            .Select(vm =>
                new { vm.Id, vm.Name, vm.Observed, vm.ObservedReason, vm.Desired, vm.RunId, vm.RestartCount, vm.Deleting, vm.CreatedAt,
                    vm.UpdatedAt }).ToListAsync(cancellation);
        return Lines(vms);
    }

    private async Task<string> EventsAsync(CancellationToken cancellation)
    {
        await using var database = await databases.CreateDbContextAsync(cancellation);
        var events = await database.Events.AsNoTracking().OrderByDescending(record => record.Id).Take(Events)
            .Select(record => new { record.Id, record.At, record.Type, record.Subject, record.Message }).ToListAsync(cancellation);
        return Lines(events);
    }

    private async Task<string> OperationsAsync(CancellationToken cancellation)
    {
        await using var database = await databases.CreateDbContextAsync(cancellation);
        var operations = await database.Operations.AsNoTracking().OrderByDescending(operation => operation.Id).Take(Operations)
            .Select(operation =>
                new { operation.Id, operation.Kind, operation.Target, operation.State, operation.Message, operation.Error,
                    operation.CreatedAt, operation.FinishedAt }).ToListAsync(cancellation);
        return Lines(operations);
    }

    private static string Lines<T>(IEnumerable<T> rows) =>
        string.Concat(rows.Select(row => JsonSerializer.Serialize(row, ApiJson.Options) + "\n"));
}
