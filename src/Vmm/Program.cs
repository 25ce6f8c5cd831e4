using WebVm.Vmm.Commands;
using WebVm.Vmm.Confinement.Keeping;

return args switch
{
    [Keeper.Role, .. var options] => Keeper.Run(options),
    [Keeper.Idle, ..] => 0,
    _ => CommandLine.Run(args),
};
