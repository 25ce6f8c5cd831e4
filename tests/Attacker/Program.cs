using WebVm.Attacker;
using WebVm.Vmm.Confinement;
using WebVm.Vmm.Confinement.Keeping;

// In the monitor's place: kept by the very code that keeps monitors, which executes this program again behind the walls.
return args switch
{
    [Keeper.Role, .. var options] => Keeper.Run(options),
    [ContainerProfile.Role, .. var rest] => ContainerProfile.Execute(rest),
    ["outer", var name, .. var facts] => Attack(name, facts),
    // A guest has taken over its monitor's process: the monitor's own wall stands too.
    ["inner", var name, .. var facts] => Behind(name, facts),
    [LyingMonitor.Role, .. var options] => LyingMonitor.Serve(options),
    ["end", var how, .. var rest] => Endings.End(how, rest),
    _ => Tries.PrintNames(),
};

static int Attack(string name, string[] facts) => Tries.Run(name, new Surroundings(facts));

static int Behind(string name, string[] facts)
{
    InnerWall.Raise(kvm: false);
    return Attack(name, facts);
}
