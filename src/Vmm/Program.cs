using WebVm.Vmm.Commands;

return CommandLine.Run(args);
