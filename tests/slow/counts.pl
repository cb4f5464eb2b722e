#!/usr/bin/perl
# Writes down every delivery of signal $ARGV[0] into the file $ARGV[1]; a while after the first it dies of it, as by default.
# Perl, because bash forgets a trap now and then that was to run while `read` waits with a time limit.
my ($signal, $path) = @ARGV;
$SIG{$signal} = sub { open my $file, '>>', $path; print $file "delivered\n"; $seen = 1 };
sub nap { select undef, undef, undef, 0.02 }
open my $file, '>>', $path;
nap until $seen;
nap for 1..20;
$SIG{$signal} = 'DEFAULT';
exec 'bash', '-c', 'ulimit -c 0; kill -"$0" $$', $signal;
