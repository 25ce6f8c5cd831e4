using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Hosting.Internal;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using WebVm.Api.Images;
using WebVm.Api.Persistence.Entities;
using WebVm.Api.Settings;
using WebVm.Api.Runs;
using Xunit;

namespace WebVm.Api.Tests.Runs;

/// <summary>Agents come when there is something to do and go when there is not.</summary>
public sealed class AgentTests(SharedService shared) : IAsyncLifetime
{
    private readonly string _data = Directory.CreateTempSubdirectory("webvm-agents-").FullName;
    private Databases _databases = null!;
    private VmFiles _files = null!;
    private VmSupervisor _supervisor = null!;

    public async ValueTask InitializeAsync()
    {
        _databases = await Databases.CreateAsync(shared.Service, Rest.NewName("agents").Replace('-', '_'));
        var options = Options.Create(new ServiceOptions { Data = _data });
        _files = new VmFiles(options);
        var groups = new ControlGroups(options, NullLogger<ControlGroups>.Instance);
        var launcher = new MonitorLauncher(
            options, new MonitorIsolation(options, groups, NullLogger<MonitorIsolation>.Instance), new MonitorUsers(options), groups);
        var services = new VmAgentServices(
            _databases, _files, new SpecWriter(new ImageStore(options)), launcher, groups, new HostPaths(options),
            new MemoryBudget(options), NullLogger<VmAgent>.Instance);
        _supervisor = new VmSupervisor(
            services, new Hurry(new ApplicationLifetime(NullLogger<ApplicationLifetime>.Instance)), options,
            NullLogger<VmSupervisor>.Instance);
    }

    public async ValueTask DisposeAsync()
    {
        await _supervisor.StopAsync(CancellationToken.None);
        await using (var database = _databases.CreateDbContext())
        {
            await database.Database.EnsureDeletedAsync();
        }

        Directory.Delete(_data, recursive: true);
    }

    [Fact]
    public async Task Only_machines_that_have_something_to_do_have_an_agent_and_no_longer_than_that()
    {
        var unfinished = await AddAsync(vm => vm.Observed = ObservedPower.Stopping);
        var gaveUp = await AddAsync(_ => { });
        Directory.CreateDirectory(_files.Saved(gaveUp));
        var lost = await AddAsync(vm => (vm.Desired, vm.Observed) = (DesiredPower.Saved, ObservedPower.Saved));
        var saved = await AddAsync(vm => (vm.Desired, vm.Observed) = (DesiredPower.Saved, ObservedPower.Saved));
        Directory.CreateDirectory(_files.Saved(saved));
        for (int i = 0; i < 20; i++)
        {
            await AddAsync(vm => vm.Observed = i % 2 == 0 ? ObservedPower.Off : ObservedPower.Crashed);
        }

        int before = _databases.Commands.Count;
        await _supervisor.StartAsync(Rest.Cancellation);
        await EventuallyAsync(() => Task.FromResult(_supervisor.Agents == 0));
        // The three, not the twenty.
        Assert.InRange(_databases.Commands.Count - before, 3, 20);
        Assert.Equal(ObservedPower.Off, await ObservedAsync(unfinished));
        Assert.Equal(ObservedPower.Off, await ObservedAsync(lost));
        Assert.Equal(ObservedPower.Saved, await ObservedAsync(saved));
        Assert.False(Directory.Exists(_files.Saved(gaveUp)));
        Assert.True(Directory.Exists(_files.Saved(saved)));
    }

    [Fact]
    public async Task All_who_use_a_VM_at_once_have_one_agent_and_it_stays_until_the_last_has_left()
    {
        var id = await AddAsync(_ => { });
        var leases = new AgentLease[64];
        Parallel.For(0, leases.Length, i => leases[i] = _supervisor.Use(id));
        Assert.Single(leases.Select(lease => lease.Agent).Distinct());
        var journal = leases[0].Agent.Serial;
        journal.Resume("run");
        journal.Append("run", 0, "before"u8);
        Parallel.For(1, leases.Length, i => leases[i].Dispose());
        leases[1].Dispose();
        _supervisor.Wake(id);
        await leases[0].Agent.Changed.WaitAsync(TimeSpan.FromSeconds(30), Rest.Cancellation);
        Assert.Equal((1, 6L), (_supervisor.Agents, journal.End));
        leases[0].Dispose();
        await EventuallyAsync(() => Task.FromResult(_supervisor.Agents == 0));
        Assert.Throws<ObjectDisposedException>(() => leases[0].Agent.Serial);

        using var again = _supervisor.Use(id);
        Assert.Equal(6, again.Agent.Serial.End);
    }

    [Fact]
    public async Task No_wake_is_lost_to_an_agent_that_is_about_to_go()
    {
        var id = await AddAsync(_ => { });
        using var over = CancellationTokenSource.CreateLinkedTokenSource(Rest.Cancellation);
        var users = Task.Run(async () =>
        {
            while (!over.IsCancellationRequested)
            {
                using (var lease = _supervisor.Use(id))
                {
                    // Throws if this agent has gone, or if another has the file.
                    _ = lease.Agent.Serial.End;
                }

                await Task.Yield();
                await Task.Delay(Random.Shared.Next(3), CancellationToken.None);
            }
        });
        for (int i = 0; i < 300; i++)
        {
            await using (var database = _databases.CreateDbContext())
            {
                await database.Vms.Where(vm => vm.Id == id)
                    .ExecuteUpdateAsync(set => set.SetProperty(vm => vm.Observed, ObservedPower.Stopping), Rest.Cancellation);
            }

            _supervisor.Wake(id);
            await EventuallyAsync(async () => await ObservedAsync(id) == ObservedPower.Off);
            Assert.False(users.IsCompleted, users.Exception?.ToString());
        }

        await over.CancelAsync();
        await users;
        await EventuallyAsync(() => Task.FromResult(_supervisor.Agents == 0));
    }

    [Fact]
    public async Task A_deleted_VMs_agent_goes_with_its_files()
    {
        var id = await AddAsync(_ => { });
        using var lease = _supervisor.Use(id);
        _ = lease.Agent.Serial;
        await using (var database = _databases.CreateDbContext())
        {
            await database.Vms.Where(vm => vm.Id == id).ExecuteDeleteAsync(Rest.Cancellation);
        }

        _supervisor.Wake(id);
        await EventuallyAsync(() => Task.FromResult(_supervisor.Agents == 0 && !Directory.Exists(_files.Folder(id))));
    }

    private static async Task EventuallyAsync(Func<Task<bool>> reached)
    {
        for (int i = 0; !await reached(); i++)
        {
            Assert.True(i < 20_000, "It did not come to it.");
            await Task.Delay(2, Rest.Cancellation);
        }
    }

    private async Task<Guid> AddAsync(Action<Vm> set)
    {
        var vm = new Vm { Name = Rest.NewName("agent"), Configuration = new VmConfiguration() };
        set(vm);
        await using var database = _databases.CreateDbContext();
        database.Vms.Add(vm);
        await database.SaveChangesAsync(Rest.Cancellation);
        return vm.Id;
    }

    private async Task<ObservedPower> ObservedAsync(Guid id)
    {
        await using var database = _databases.CreateDbContext();
        return await database.Vms.Where(vm => vm.Id == id).Select(vm => vm.Observed).SingleAsync(Rest.Cancellation);
    }
}
