using WebVm.Api.Console.Keyboard;
using WebVm.Vmm.Devices.Input;
using Xunit;

namespace WebVm.Api.Tests.Console;

public sealed class TypistTests
{
    [Fact]
    public void WhatALayoutCannotTypeIsNamed() => Assert.Equal("é漢", Typist.Missing("cafée\r\n漢", KeyboardLayout.Us));
}
